#!/bin/sh
# Puts Python 3.14 and 3.15 into a folder, for the tests that need them: from Debian's testing packages, unpacked (not
# installed) beside the C library that they were built for.
#
#     tests/pythons.sh [FOLDER]          default: ~/.cache/looptop-pythons
#     FREE_THREADED=3.13 tests/pythons.sh [FOLDER]
#
# With FREE_THREADED a free-threaded build of that version, too, as FOLDER/3.13t/bin/python3.13t: Debian has none, so it is
# compiled from Debian's source (some minutes; a compiler, libssl-dev, libffi-dev and zlib1g-dev are needed). Then
# `TEST_PYTHONS=3.13t make test` runs the tests on it.
#
# Then FOLDER/3.14/bin/python3.14 runs like any other; PYTHONS_FOLDER=FOLDER tells the tests of another folder than
# the default. Needs apt and dpkg, no root: each interpreter is a small script that asks the right loader.
set -eu

folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/looptop-pythons}
suite=${SUITE:-testing}
mirror=${MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || { echo "pythons.sh: no Debian keyring ($keyring): this works on Debian only" >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || { echo "pythons.sh: x86-64 only" >&2; exit 1; }

mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" "$folder/root"
cd "$folder"
echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main" > apt/sources.list
apt="-o Dir::State=$folder/apt -o Dir::Cache=$folder/apt -o Dir::Etc::sourcelist=$folder/apt/sources.list"
apt="$apt -o Dir::Etc::sourceparts=/dev/null -o Dir::State::status=/dev/null -o APT::Sandbox::User= -o Acquire::Languages=none"
apt-get $apt -qq update

packages="libc6 libexpat1 zlib1g libssl3t64 libffi8 libzstd1 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1"
for version in 3.14 3.15; do
    if apt-cache $apt show "python$version-minimal" >/dev/null 2>&1; then
        packages="$packages python$version-minimal libpython$version-minimal libpython$version-stdlib"
        versions="${versions:-} $version"
    else
        echo "pythons.sh: $suite has no Python $version" >&2
    fi
done
cd apt/archives
for package in $packages; do
    apt-get $apt -qq download "$package" 2>/dev/null || echo "pythons.sh: $suite has no $package" >&2
done
for file in ./*.deb; do
    dpkg -x "$file" "$folder/root"
done
cd "$folder"
rm -rf "$folder/apt"

root=$folder/root
loader=$(find "$root" -name 'ld-linux-x86-64.so.2' | head -n 1)
libraries=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
for version in ${versions:-}; do
    # Like a virtual environment, whose interpreter is a script: so sys.executable is one that starts.
    home=$folder/$version
    mkdir -p "$home/bin"
    echo "home = $root/usr/bin" > "$home/pyvenv.cfg"
    cat > "$home/bin/python$version" <<END
#!/bin/sh
exec "$loader" --library-path "$libraries" --argv0 "$home/bin/python$version" "$root/usr/bin/python$version" "\$@"
END
    chmod +x "$home/bin/python$version"
    "$home/bin/python$version" -c 'import asyncio, sys; print("pythons.sh: Python", sys.version.split()[0])' >&2
done

[ -n "${FREE_THREADED:-}" ] || exit 0
version=$FREE_THREADED
build=$folder/build
mkdir -p "$build/apt/lists/partial" "$build/apt/archives/partial"
cd "$build"
echo "deb-src [signed-by=$keyring] $mirror $suite main" > apt/sources.list
apt="-o Dir::State=$build/apt -o Dir::Cache=$build/apt -o Dir::Etc::sourcelist=$build/apt/sources.list"
apt="$apt -o Dir::Etc::sourceparts=/dev/null -o Dir::State::status=/dev/null -o APT::Sandbox::User= -o Acquire::Languages=none"
apt-get $apt -qq update
apt-get $apt -qq source --download-only "python$version" \
    || { echo "pythons.sh: the mirror has no source of Python $version now; try SUITE=sid or another version" >&2; exit 1; }
tar -xf "python${version}_"*.orig.tar.xz
cd Python-*
./configure -q --disable-gil --with-ensurepip=no --disable-test-modules "--prefix=$folder/${version}t" CFLAGS=-O2 >../log 2>&1
make -s -j"$(nproc)" >>../log 2>&1
make -s altinstall >>../log 2>&1
rm -rf "$build"
"$folder/${version}t/bin/python${version}t" -c 'import asyncio, ssl, sys; print("pythons.sh: Python", sys.version)' >&2
