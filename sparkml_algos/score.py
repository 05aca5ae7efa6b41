"""The command ``python -m sparkml_algos.score MODEL INPUT OUTPUT``: batch inference on files, without Spark and without an endpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

_ENDS = "Ends with 0 if all files were scored, else with 1."


def main(arguments: Sequence[str] | None = None) -> None:
    """Score the files; say what became of each."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    from sparkml_algos.serving.contract import Options
    from sparkml_algos.serving.files import Transform, transform_folder
    from sparkml_algos.serving.servable import load_servable

    def listed(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())

    try:
        transform = Transform(
            chosen.content_type,
            chosen.accept,
            chosen.split_type,
            chosen.batch_strategy,
            chosen.max_payload_in_mb,
            chosen.assemble_with,
            chosen.compression_type,
            chosen.input_filter,
            chosen.join_source,
            chosen.output_filter,
            chosen.generate_inference_id,
        )
        options = Options(listed(chosen.outputs), chosen.libsvm_base, listed(chosen.columns), chosen.device)
        results = transform_folder(chosen.input, chosen.output, load_servable(chosen.model, options), transform)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for result in results:
        print(result.error or f"{result.target}: {result.bytes} bytes", file=sys.stderr if result.error else sys.stdout)
    if any(result.error for result in results):
        parser.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m sparkml_algos.score", description="Score files by a saved model.", epilog=_ENDS)
    parser.add_argument("model", help="local directory of a saved model or PipelineModel")
    parser.add_argument("input", help="file or folder, a path or a URI that pyarrow knows")
    parser.add_argument("output", help="folder; each output has its input's name with .out behind it")
    parser.add_argument("--content-type", default="text/csv", help="of the input (text/csv)")
    parser.add_argument("--accept", help="of the output; the content type where the model answers such")
    parser.add_argument("--split-type", default="Line", choices=["None", "Line", "RecordIO"], help="what parts records (Line)")
    parser.add_argument("--batch-strategy", default="MultiRecord", choices=["MultiRecord", "SingleRecord"])
    parser.add_argument("--max-payload-in-mb", type=int, default=6, help="of a request; 0: any (6)")
    parser.add_argument("--assemble-with", default="Line", choices=["None", "Line"], help="what parts answers (Line)")
    parser.add_argument("--compression-type", default="None", choices=["None", "Gzip"], help="of the input")
    parser.add_argument("--input-filter", default="$", help="JSONPath of what the model gets of a record ($)")
    parser.add_argument("--join-source", default="None", choices=["None", "Input"], help="Input: answers beside their records")
    parser.add_argument("--output-filter", default="$", help="JSONPath of what is written ($)")
    parser.add_argument("--generate-inference-id", action="store_true", help="an identifier for each record")
    parser.add_argument("--outputs", default="", help="what XGBoost answers in place of score, separated by commas")
    parser.add_argument("--columns", default="", help="of pipelines: the cells of a line of CSV, separated by commas")
    parser.add_argument("--libsvm-base", type=int, choices=[0, 1], default=0, help="index of the first feature in libsvm (0)")
    parser.add_argument("--device", default="cpu", help="where networks compute (cpu)")
    return parser


if __name__ == "__main__":
    main()
