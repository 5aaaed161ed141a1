# The virtual environment of the image: the pinned packages, by their hashes.
#
# Its interpreter is a copy, not a link: file capabilities belong to a file.
set -eu
python3 -m venv --copies /opt/longline
/opt/longline/bin/python -m pip install -qq --disable-pip-version-check --no-compile --require-hashes \
    -r requirements/run.txt
