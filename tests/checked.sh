#!/bin/sh
# Tests of the hooks in C on a build that checks itself, in a copy of the sources below build/:
#
#     tests/checked.sh asan          with AddressSanitizer and UndefinedBehaviorSanitizer (gcc; objects come from malloc)
#     tests/checked.sh references    on a debug build of Python, which counts references: none may be lost or left
#
# PYTHON is that of the tests. DEBUG_PYTHON is the debug build (default: Debian's python3.11-dbg, with its headers).
set -eu
mode=${1:?asan or references}
cd "$(dirname "$0")/.."
python=$(command -v "${PYTHON:-.venv/bin/python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
tree=$PWD/build/$mode
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard -- probes monitor tests sample_apps setup.py pyproject.toml README.md LICENSE |
    xargs -0 cp --parents --target-directory="$tree"
cd "$tree"
export LOOPTOP_STRICT=1 PYTHONDONTWRITEBYTECODE=1

case $mode in
asan)
    CC=gcc CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all" \
        LDFLAGS="-fsanitize=address,undefined" "$python" setup.py -q build_ext --inplace
    # The interpreter's own objects are not freed at its end: what leaks is the business of `references`.
    export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
    export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 PYTHONMALLOC=malloc LOOPTOP_TEST_TWIN=c
    "$python" -m pytest -q -p no:cacheprovider tests/probes/hooks/test_twins.py tests/probes/hooks/test_hostile_classes.py \
        tests/probes/hooks/test_reading.py tests/probes/hooks/test_walk.py tests/probes/hooks/test_taking.py tests/probes/labels/test_uvicorn_status.py
    # Sampling, the step ring and groups, in programs of this Python only: it is for this one that the preload is right.
    TEST_PYTHONS=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))') "$python" -m pytest -q \
        -p no:cacheprovider tests/probes/test_flame.py tests/probes/trace tests/probes/hooks/test_groups.py tests/probes/sampling/test_gc_pauses.py -k "not planted"
    ;;
references)
    debug=$(command -v "${DEBUG_PYTHON:-python3.11-dbg}") ||
        { echo "checked.sh: no debug build of Python: apt install python3.11-dbg libpython3.11-dbg, or set DEBUG_PYTHON" >&2; exit 1; }
    setuptools=$("$python" -c 'import os, setuptools; print(os.path.dirname(os.path.dirname(setuptools.__file__)))')
    CFLAGS="-O1 -g" PYTHONPATH=$setuptools "$debug" setup.py -q build_ext --inplace
    DEBUG_PYTHON=$debug "$python" -m pytest -q -p no:cacheprovider tests/probes/hooks/test_references.py
    ;;
*)
    echo "checked.sh: asan or references, not $mode" >&2
    exit 2
    ;;
esac
