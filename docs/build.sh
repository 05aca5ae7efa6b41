#!/usr/bin/env bash
# The site, in build/site; warnings are errors. PYTHON, where set, else the python of PATH, has the extra `docs`. Every page is made anew
# (-E), for what the tables say stands in the code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
"${PYTHON:-python}" -m sphinx -q -E -W --keep-going -n -j auto -b html -d build/doctrees docs build/site
echo "build/site/index.html"
