# What the build needs of Debian; what is there already is not installed again.
set -eu
missing=
for pair in python3:python3 strip:binutils setcap:libcap2-bin nft:nftables; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi
