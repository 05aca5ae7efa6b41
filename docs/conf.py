"""The site: ``python -m sphinx -W --keep-going -n -b html docs build/site``; its own directives are in ``_ext``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from sparkml_algos import __version__  # noqa: E402

project = "sparkml-algos"
author = "the authors of sparkml-algos"
release = version = __version__
extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_parser", "sphinx_copybutton", "parameters", "tables", "reference"]
exclude_patterns = ["_ext"]
nitpicky = True
# Quotes in tables of declarations are Python's.
smartquotes = False
toc_object_entries_show_parents = "hide"

# ------------------------------------------------------------------------------------------------------------------- text

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_block"]
myst_heading_anchors = 3
# Single backticks in docstrings are code.
default_role = "literal"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# -------------------------------------------------------------------------------------------------------------- reference

# The pages, one for each name that is exported, are written by `reference`.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# -------------------------------------------------------------------------------------------------------------------- look

html_theme = "furo"
html_title = f"sparkml-algos {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#b45309", "color-brand-content": "#b45309"},
    "dark_css_variables": {"color-brand-primary": "#f0a05a", "color-brand-content": "#f0a05a"},
}
