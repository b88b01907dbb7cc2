# Shared by the scripts: sourced from the root of the checkout.
# Makes .venv, with exactly what requirements/*.txt pin and the project itself.

VENV=.venv
STAMP=$VENV/requirements.sha256

# The clients of STAC, eodag among them, have an environment of their own.
CLIENTS=.venv-eodag
CLIENTS_STAMP=$CLIENTS/requirements.sha256

say() { printf '▸ %s\n' "$*" >&2; }
die() { printf '✗ %s\n' "$*" >&2; exit 1; }

# The stamp tells whether the environment is the one the files ask for.
wanted_stamp() {
    cat requirements/dev.txt requirements/build.txt pyproject.toml | sha256sum
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die 'no Python >= 3.11 here: install one (python3 of Debian 12, Ubuntu 24.04 or later) and run this again'
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Debian and Ubuntu ship venv apart from Python itself.
require_venv_module() {
    local python=$1 package
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then return; fi
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    may_install || die "$python cannot make virtual environments: run 'apt-get install $package' as root"
    say "installing $package with apt-get"
    DEBIAN_FRONTEND=noninteractive apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$package" >/dev/null
}

make_environment() {
    local python
    python=$(find_python)
    require_venv_module "$python"
    say "making $VENV with $("$python" --version), for the first run or changed requirements: about a minute"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
    install_with_pip --require-hashes --no-deps -r requirements/dev.txt -r requirements/build.txt
    install_with_pip --no-deps --no-build-isolation --editable .
    wanted_stamp >"$STAMP"
}

install_with_pip() {
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

# Fails if they can't be installed here: what needs them is then left out.
ensure_clients() {
    local wanted
    wanted=$(sha256sum requirements/eodag.txt)
    if [ "$(cat "$CLIENTS_STAMP" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "making $CLIENTS with eodag, for the first run or changed requirements: about a minute"
    rm -rf "$CLIENTS"
    "$VENV/bin/python" -m venv "$CLIENTS" \
        && "$CLIENTS/bin/python" -m pip install --quiet --disable-pip-version-check \
            --require-hashes --no-deps -r requirements/eodag.txt \
        && printf '%s\n' "$wanted" >"$CLIENTS_STAMP" \
        || { rm -rf "$CLIENTS"; return 1; }
}

ensure_environment() {
    if [ "$(cat "$STAMP" 2>/dev/null)" != "$(wanted_stamp)" ]; then
        make_environment
    fi
}
