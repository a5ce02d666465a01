#!/usr/bin/env bash
# The events of a stream, by curl and what a shell has.
set -u

url=$1 count=$2 last_event_id='' retry_ms=1000

# One block of the stream, at its blank line.
dispatch() {
    [ -n "$data" ] || return 0
    [ -z "$id" ] || last_event_id=$id
    printf '{"event":"%s","id":"%s","data":%s}\n' "${event:-message}" "$id" "$data"
    [ "${event:-message}" = message ] && count=$((count - 1))
    event='' id='' data=''
}

while [ "$count" -gt 0 ]; do
    event='' id='' data=''
    resume=()
    [ -z "$last_event_id" ] || resume=(-H "Last-Event-ID: $last_event_id")
    exec 3< <(exec curl -N -sS --fail -H "Authorization: Bearer $WAKELINE_TOKEN" -H 'Accept: text/event-stream' \
        "${resume[@]}" "$url")
    curl=$!
    while [ "$count" -gt 0 ] && IFS= read -r line <&3; do
        case $line in
            '') dispatch ;;
            'event: '*) event=${line#event: } ;;
            'id: '*) id=${line#id: } ;;
            'data: '*) data=${line#data: } ;;
            'retry: '*) retry_ms=${line#retry: } ;;
        esac
    done
    kill "$curl" 2>/dev/null
    exec 3<&-
    [ "$count" -eq 0 ] || sleep "$(printf '%d.%03d' $((retry_ms / 1000)) $((retry_ms % 1000)))"
done
