# A small scan of each kind in a simulated Internet: afterwards every kernel is compiled, and stands beside its source.
#
# Needs namespaces. Where the build may not make any (Docker's default), the kernels are compiled at each start instead,
# unless NUMBA_CACHE_DIR names a folder that stays.
set -eu
bin=$1
export LONGLINE_CONFINE=1 LONGLINE_LOG=warning HOME=/tmp XDG_CACHE_HOME=/opt/longline/cache
mkdir -p "$XDG_CACHE_HOME"
cat >/tmp/rehearsal.sh <<'END'
set -eu
net=10.64.0.0/24
scan() { longline scan --cooldown-time 0.5 -o /dev/null "$@" $net; }
for engine in packet xdp ip; do scan -p 80 --engine $engine; done
scan -p 80 -M tcp_synackscan
for probe in icmp_echoscan icmp_echo_time; do scan -M $probe; done
for probe in udp dns ntp upnp; do scan -p 53,123 -M $probe; done
scan -p 80,443 --retries 1 -O hits
scan -p 80 --grab http-req -O hits
scan -p 80 --send-rst always
longline scan -p 80 --cooldown-time 2 --hold --scanner here -O hits -o - $net |
    longline bannergrab --via raw --scanner here -d http-req >/dev/null
longline iterate -p 80 $net >/dev/null
END
# /proc/sys is read-only in a build; in a mount namespace of one's own it need not be.
own() { unshare -m sh -c 'mount -o remount,rw /proc/sys && exec "$@"' own "$@"; }
own true 2>/dev/null || own() { "$@"; }
export PATH="$bin:$PATH"
if own longline simnet --responder 10.64.0.0/24 --reactions synack=0.7,rst=0.1,icmp_28=0.1 \
    --says http=0.5,greeting=0.5 -- sh /tmp/rehearsal.sh; then
    echo "rehearsed: $(find /opt/longline -name '*.nbc' | wc -l) kernels"
else
    echo "no rehearsal: kernels are compiled at the start" >&2
fi
rm -rf /tmp/rehearsal.sh
