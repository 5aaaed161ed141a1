#!/usr/bin/env bash
# Everything the Makefile's verbs need, from a machine with bash, make, git and Python only.
#
#   setup.sh run | dev        the virtual environment with the pinned packages
#   setup.sh system VERB      the system's programs for demo, test or bench: installed when root on Debian, else named
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
say() { printf '%s\n' "setup: $*" >&2; }
die() { say "$*"; exit 1; }
is_debian_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    say "installing $*"
    # Servers that come with the packages are for the tests to start, not for the system: forbid their start here.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=1; fi
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        >.setup.log 2>&1 </dev/null; then
        [ -z "$made" ] || rm -f $policy
        tail -n 20 .setup.log >&2
        die "apt-get could not install: $*"
    fi
    [ -z "$made" ] || rm -f $policy
    rm -f .setup.log
}

fits() { command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }

# The distribution's Python comes first: it is built with profile-guided optimisation, and one that was built at home
# often is not (pyenv's is not unless told) and takes 1.4 times the CPU. First those that can make an environment.
python_of_system() {
    local candidate linux=
    [ "$(uname)" != Linux ] || linux=/usr/bin/python3
    local candidates=(${PYTHON:+"$PYTHON"} $linux python3 python3.13 python3.12 python3.11)
    if [ -z "${PYTHON:-}" ]; then
        for candidate in "${candidates[@]}"; do
            if fits "$candidate" && "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
                printf '%s' "$candidate"
                return
            fi
        done
    fi
    for candidate in "${candidates[@]}"; do
        if fits "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed (PYTHON=/path/to/python3 names one)"
}

make_venv() {
    local which=$1 python
    python=$(python_of_system)
    if [ ! -x $venv/bin/pip ]; then
        if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
            if is_debian_root; then
                apt_install python3-venv ca-certificates
            else
                die "Python's venv module is missing (on Debian: apt-get install python3-venv)"
            fi
        fi
        say "making the virtual environment"
        rm -rf $venv
        "$python" -m venv $venv
    fi
    say "installing the pinned packages ($which)"
    $venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "requirements/$which.txt"
    $venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    touch $venv/.run
    [ "$which" = run ] || touch $venv/.dev
}

# program:package pairs that a verb needs
programs() {
    case $1 in
        demo) echo nft:nftables ;;
        test) echo nft:nftables ip:iproute2 zmap:zmap nginx:nginx-light sshd:openssh-server redis-server:redis-server \
            postfix:postfix tor:tor java:openjdk-17-jdk-headless mvn:maven gnutls-serv:gnutls-bin go:golang-go \
            dovecot:dovecot-imapd /usr/lib/dovecot/pop3-login:dovecot-pop3d \
            /usr/lib/dovecot/managesieve-login:dovecot-managesieved vsftpd:vsftpd slapd:slapd prosody:prosody \
            zsh:zsh fish:fish podman:podman catatonit:catatonit buildah:buildah runc:runc \
            mmdebstrap:mmdebstrap qemu-x86_64:qemu-user prometheus:prometheus \
            faketime:faketime chromium:chromium chromedriver:chromium-driver ;;
        bench) echo nft:nftables ip:iproute2 zmap:zmap masscan:masscan nginx:nginx-light java:openjdk-17-jdk-headless \
            mvn:maven go:golang-go ;;
        *) die "no such verb: $1" ;;
    esac
}

system() {
    local pair program missing=() PATH=$PATH:/usr/sbin:/sbin
    for pair in $(programs "$1"); do
        program=${pair%%:*}
        command -v "$program" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if is_debian_root; then
        apt_install "${missing[@]}"
    else
        say "missing here: ${missing[*]} (on Debian, as root: apt-get install ${missing[*]}); what needs them is left out"
    fi
}

case ${1:-} in
    run | dev) make_venv "$1" ;;
    system) system "${2:?}" ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
