#!/bin/sh
# Runs named, detached jobs on the deploy host, so that a lost connection or a dead bot loses nothing.
#
#   sh runner.sh JOBS hello                 who we are: "quarterdeck-runner SHA256 open|forced"
#   sh runner.sh JOBS start JOB SHA256      start the script on stdin; the same again attaches
#   sh runner.sh JOBS status JOB            "absent|running|done|lost RC BOOT-ID SHA256"; "-" where there is none
#   sh runner.sh JOBS tail JOB OFFSET       the log from that byte on, until the job ended
#   sh runner.sh JOBS read JOB NAME         a file of the job's folder
#   sh runner.sh JOBS stop JOB              SIGINT to the job's process group
#   sh runner.sh JOBS reap DAYS             delete jobs that ended more than DAYS days ago
#   sh runner.sh JOBS query SECONDS BASE64  run a short command with a deadline
#
# In authorized_keys, for a key that can do nothing else:
#   restrict,command="sh /home/USER/.quarterdeck/runner-HASH.sh JOBS forced" ssh-ed25519 ...
#
# A job is a folder: script, digest, started (boot id), pid, log, rc, stop, tmp/, and lock. The job's processes hold
# `lock` by an inherited descriptor, helmfile and helm too and on purpose: the lock is free when all of it ended.
# done = lock free and rc there; lost = lock free, begun, no rc; absent = never begun, so it may be started.
#
# Exit statuses: 64 wrong request, 65 script cut short, 66 no such job or file, 69 a job of that name has another
# script, 73 the folder cannot be written. Needs a POSIX sh that hands descriptors on (dash), coreutils, util-linux.

set -u
umask 077
LC_ALL=C
export LC_ALL
self=$0
jobs=${1:-}
[ $# -gt 0 ] && shift
mode=open

die() {
    status=$1
    shift
    printf 'runner: %s\n' "$*" >&2
    exit "$status"
}

if [ "${1:-}" = forced ]; then
    mode=forced
    set -f
    # shellcheck disable=SC2086  # our own requests consist of plain words only
    set -- ${SSH_ORIGINAL_COMMAND:-}
    set +f
    # what the bot sends is `exec sh RUNNER JOBS VERB ...`; both paths are the key's to say, not the caller's
    [ $# -ge 5 ] && [ "$1 $2" = "exec sh" ] || die 64 "this key only calls the runner"
    shift 4
    [ "$1" = run ] && die 64 "not a request"
fi
verb=${1:-}
[ $# -gt 0 ] && shift
[ -n "$jobs" ] || die 64 "no folder for jobs given"

is_word() { # WORD MAXIMUM: letters, digits, dot, underscore, hyphen; no leading dot
    case $1 in "" | .* | *[!A-Za-z0-9._-]*) return 1 ;; esac
    [ ${#1} -le "$2" ]
}

need_job() {
    is_word "${1:-}" 120 || die 64 "bad job name"
    job=$1
    dir=$jobs/$job
}

need_number() {
    case ${1:-} in "" | *[!0-9]*) die 64 "not a number" ;; esac
}

held() { # whether the job's processes live; a probe's own shared lock never counts
    ! flock -s -n "$dir/lock" true 2>/dev/null
}

begun() { [ -e "$dir/started" ]; }

boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }

report() {
    digest=-
    rc=-
    if [ ! -e "$dir/lock" ]; then
        state=absent
    elif held; then
        state=running
    elif ! begun; then
        state=absent
    elif [ -e "$dir/rc" ]; then
        state=done
        read -r rc <"$dir/rc" || die 73 "cannot read $dir/rc"
    else
        state=lost
    fi
    [ "$state" = absent ] || read -r digest <"$dir/digest"
    printf '%s %s %s %s\n' "$state" "$rc" "$(boot)" "$digest"
}

claim() { # the folder is made aside and renamed into place whole: the rename is the claim
    new=$(mktemp -d "$jobs/.new.XXXXXXXX") || die 73 "cannot write in $jobs"
    trap 'rm -rf "$new"' EXIT
    cat >"$new/script" || die 73 "cannot write the script: disk full?"
    read -r got _ <<EOF
$(sha256sum <"$new/script")
EOF
    [ "$got" = "$1" ] || die 65 "the script came in incomplete"
    # pid, started and rc get their blocks now, so that a full disk later cannot hide how it ended;
    # not with `:`, where a redirection that fails ends the shell
    { printf '%s\n' "$1" >"$new/digest" && true >"$new/log" && true >"$new/lock" && mkdir "$new/tmp" &&
        boot >"$new/.started" && printf '          \n' >"$new/pid" && printf '   \n' >"$new/.rc"; } 2>/dev/null ||
        die 73 "cannot write in $jobs: disk full?"
    mv -T "$new" "$dir" 2>/dev/null || [ -e "$dir/lock" ] || die 73 "cannot write in $jobs"
    rm -rf "$new"
    trap - EXIT
}

start() {
    mkdir -p "$jobs" || die 73 "cannot make $jobs"
    if [ -e "$dir/lock" ]; then cat >/dev/null; else claim "$1"; fi
    read -r have <"$dir/digest"
    [ "$have" = "$1" ] || die 69 "a job $job exists with another script"
    exec 9>>"$dir/lock" || die 73 "cannot open $dir/lock"
    until flock -x -n 9; do # somebody has it: the job itself, or a probe for a millisecond
        if held; then
            report
            return
        fi
    done
    if ! begun; then
        # not with `&`: a shell starts background commands deaf to SIGINT
        setsid -f sh "$self" "$jobs" run "$job" </dev/null >/dev/null 2>&1 || die 73 "cannot start $job"
        exec 9>&-
        waits=0 # until it has begun; a full disk may keep it from that, and then it is absent
        while ! begun && held && [ $waits -lt 100 ]; do
            sleep 0.02
            waits=$((waits + 1))
        done
    fi
    exec 9>&-
    report
}

run() { # leader of the job's own session, the lock on descriptor 9
    trap : INT TERM HUP # we outlive a stop, to write down how it ended; children get the signals as usual
    cd "$dir" || exit 73
    printf '%-10s\n' $$ 1<>pid || exit 73
    mv .started started || exit 73
    TMPDIR=$PWD/tmp
    QUARTERDECK_JOB=$PWD
    export TMPDIR QUARTERDECK_JOB
    # a subshell hears SIGINT again, and then looks for the mark; only the script writes to the log, which may be full
    ([ ! -e stop ] || exit 130; exec sh ./script >>log 2>&1)
    code=$?
    printf '%-3s\n' "$code" 1<>.rc && mv .rc rc
}

size() { stat -c %s "$dir/log"; }

follow() {
    [ -e "$dir/lock" ] || die 66 "no job $job"
    offset=$1
    while :; do
        running=yes
        # waits up to 0.2 s for the job's lock: poll and pause in one; asked before the log is read, so none is missed
        flock -s -w 0.2 "$dir/lock" true && running=no
        end=$(size) || die 66 "the log of $job is gone"
        if [ "$end" -gt "$offset" ]; then
            tail -c +$((offset + 1)) "$dir/log" | head -c $((end - offset)) || exit 73
            offset=$end
        elif [ $running = no ]; then
            return
        fi
        # nobody reads us any more: the connection's process is gone
        [ "$PPID" -le 1 ] || [ -d "/proc/$PPID" ] || return
    done
}

stop() { # the mark is for a job that is just about to begin and would miss the signal
    [ -e "$dir/lock" ] && [ ! -e "$dir/rc" ] || return 0
    true >"$dir/stop" 2>/dev/null
    held && begun || return 0
    read -r pid <"$dir/pid"
    [ -z "$pid" ] || kill -s INT -- "-$pid" 2>/dev/null
    return 0
}

reap() {
    find "$jobs" -mindepth 1 -maxdepth 1 -type d \( -name '.new.*' -o -name '.old.*' \) -mtime +0 -exec rm -rf {} +
    find "$jobs" -mindepth 1 -maxdepth 1 -type d -name '[!.]*' -mtime "+$1" | while read -r dir; do
        [ -e "$dir/lock" ] && ! held || continue
        old=$jobs/.old.$$.${dir##*/}
        mv -T "$dir" "$old" && rm -rf "$old" && printf '%s\n' "${dir##*/}"
    done
}

case $verb in
    hello)
        read -r hash _ <<EOF
$(sha256sum <"$self")
EOF
        printf 'quarterdeck-runner %s %s\n' "$hash" "$mode"
        ;;
    start)
        need_job "${1:-}"
        is_word "${2:-}" 64 || die 64 "bad digest"
        start "$2"
        ;;
    status)
        need_job "${1:-}"
        report
        ;;
    tail)
        need_job "${1:-}"
        need_number "${2:-}"
        follow "$2"
        ;;
    read)
        need_job "${1:-}"
        case ${2:-} in "" | .* | *[!a-z0-9._-]*) die 64 "bad file name" ;; esac
        [ -f "$dir/$2" ] || die 66 "no file $2 of job $job"
        cat "$dir/$2"
        ;;
    stop)
        need_job "${1:-}"
        stop
        ;;
    reap)
        need_number "${1:-}"
        reap "$1"
        ;;
    query)
        need_number "${1:-}"
        command=$(printf %s "${2:-}" | base64 -d) || die 64 "not base64"
        exec timeout -k 2 "$1" sh -c "$command"
        ;;
    run)
        need_job "${1:-}"
        run
        ;;
    *) die 64 "unknown request" ;;
esac
