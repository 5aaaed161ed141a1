# The program into the environment, its kernels compiled, and the folders that become the images.
set -eu
bin=/opt/longline/bin
$bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --no-compile .
sh deploy/image/rehearse.sh $bin
# What only the build needed, and what rich colours source code with.
$bin/python -m pip uninstall -qq -y hatchling editables pathspec pluggy trove-classifiers setuptools pygments pip
python3 deploy/image/gather.py /opt/longline /image
