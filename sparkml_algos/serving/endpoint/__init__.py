"""An HTTP endpoint of saved models, with the container contract of the service; an ASGI application, needs the extra ``serving``.

`application.app` makes it, `hosting.serve` runs it in worker processes, ``python -m sparkml_algos.serve`` is both from a command line.
"""
