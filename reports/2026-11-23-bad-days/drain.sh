#!/bin/bash
# drain2.sh BIN SHARDS CLIENTS WINDOW [loadgen options]
BIN=$1; SH=$2; N=$3; W=$4; shift 4
P=45$((RANDOM%90+10))
$BIN/parlor --listen 127.0.0.1:$P --shards $SH --share-address true --drain-window $W --log-filter warn > /tmp/d2a.log 2>&1 & A=$!
sleep 0.5
$BIN/loadgen --clients $N --rooms $((N/10)) --rate 1000 --ramp 8s --duration 20s --drain 15s --reconnect --json /tmp/d2.json "$@" http://127.0.0.1:$P > /tmp/d2.txt 2>/tmp/d2.err & L=$!
sleep 13
$BIN/parlor --listen 127.0.0.1:$P --shards $SH --share-address true --drain-window $W --log-filter warn > /tmp/d2b.log 2>&1 & B=$!
sleep 0.5
T0=$(date +%s.%N); kill -TERM $A; wait $A; RA=$?; T1=$(date +%s.%N)
echo "first server: exit $RA after $(echo "$T1-$T0"|bc) s"
wait $L; echo "loadgen exit $?"; cat /tmp/d2.txt
kill -TERM $B; wait $B; cat /tmp/d2a.log /tmp/d2b.log | grep -v listening | head
