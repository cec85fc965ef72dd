# shellcheck shell=sh
# What the scripts of this folder share: words, settings, compose. Sourced by each.
#
# A setting is looked up in the environment and then in .env. Compose is given those that
# docker-compose.yml names and nothing else: a password in .env never comes near it.

root=$(cd "$(dirname "$0")/../.." && pwd)
compose_file=$root/deploy/docker-compose.yml
env_file=${ENV_FILE:-$root/.env}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "${said_by:-make ${0##*/}}" "$*" >&2
    exit 1
}

# setting NAME [DEFAULT]: prints its value, of the environment or of .env; the last line there counts.
setting() {
    eval "value=\${$1-}"
    if [ -z "$value" ] && [ -f "$env_file" ]; then
        value=$(awk -v name="$1" '
            # Whether a directive of nginx.conf ends with this text: in a semicolon, outside quotes.
            function ends(text,    i, char, quote, last) {
                quote = last = ""
                for (i = 1; i <= length(text); i++) {
                    char = substr(text, i, 1)
                    if (quote != "") {
                        if (char == "\\") i++
                        else if (char == quote) quote = ""
                    } else if (char == "#" && (i == 1 || substr(text, i - 1, 1) ~ /[ \t\n]/)) {
                        while (i < length(text) && substr(text, i + 1, 1) != "\n") i++
                        continue
                    } else if (char == "\"" || char == "\047") quote = char
                    if (char !~ /[ \t\n]/) last = char
                }
                return quote == "" && last == ";"
            }
            {
                sub(/\r$/, "")
                if (is_directive) {
                    value = value "\n" $0
                    is_directive = !ends(value)
                    next
                }
                sub(/^[ \t]*(export[ \t]+)?/, "")
                rest = substr($0, length(name) + 1)
                if (index($0, name) != 1 || rest !~ /^[ \t]*=/) next
                sub(/^[ \t]*=[ \t]*/, "", rest)
                if (rest ~ /^log_format[ \t]/) {
                    value = rest
                    is_directive = !ends(value)
                    next
                }
                quote = substr(rest, 1, 1)
                if (quote == "\"" || quote == "\047") {
                    rest = substr(rest, 2)
                    end = index(rest, quote)
                    value = end ? substr(rest, 1, end - 1) : rest
                } else {
                    sub(/[ \t]*(^|[ \t])#.*$/, "", rest)
                    sub(/[ \t]+$/, "", rest)
                    value = rest
                }
            }
            END { print value }' "$env_file")
    fi
    printf '%s\n' "${value:-${2-}}"
}

project=$(setting COMPOSE_PROJECT_NAME data-stream)
SECRETS_DIR=$(setting SECRETS_DIR "$root/deploy/secrets")
case $SECRETS_DIR in /*) ;; *) SECRETS_DIR=$root/$SECRETS_DIR ;; esac
export SECRETS_DIR
# What of a person's is left out.
WITHOUT=$(setting WITHOUT)
without() { case " $WITHOUT " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# --- Docker

need_docker() {
    command -v docker >/dev/null || die "there is no Docker here: install it (https://docs.docker.com/engine/install/), or try \`make demo\`, which needs none"
    if ! docker version >/dev/null 2>"$scratch/docker"; then
        case $(cat "$scratch/docker") in
            *'permission denied'*)
                die "you may not use the Docker engine. Join its group (sudo usermod -aG docker $(id -un), then log in again), or use sudo" ;;
            *)
                die "no Docker engine answers ($(head -n 1 "$scratch/docker")). Start it: sudo systemctl start docker" ;;
        esac
    fi
    docker compose version >/dev/null 2>&1 || die 'there is no docker compose: install the Compose plugin, version 2 (package docker-compose-plugin or docker-compose-v2)'
}

compose() {
    docker compose --project-name "$project" --env-file /dev/null --file "$compose_file" \
        ${demo:+--profile demo} "$@"
}

# piped_logs OPTION...: as text alone; releases 2.25 and 2.26 of Compose begin each line with an escape.
piped_logs() { compose --ansi never logs "$@" | sed -u "s/^$(printf '\033')\[2K//"; }

# Whether somebody watches: then a command in a container gets a terminal too.
no_terminal() { if [ -t 0 ] && [ -t 1 ]; then :; else echo '-T'; fi; }

# running [SERVICE]: how many containers run, of it or of all
# shellcheck disable=SC2120  # it is the other scripts that name one
running() { compose ps --quiet "$@" 2>/dev/null | wc -l | tr -d ' '; }

# --- settings

configuration() { cat "$@" | cksum | cut -d ' ' -f 1; } # FILE...: a number for what they say

settings() {
    # shellcheck disable=SC2013,SC2016  # names without blanks; the text of a file
    for name in $(grep -o '\${[A-Z_]*' "$compose_file" | cut -c 3- | sort -u); do
        case $name in
            SECRETS_DIR) ;;
            *)
                value=$(setting "$name")
                if [ -n "$value" ]; then export "$name=$value"; fi
                ;;
        esac
    done
    # So that a container is made anew when what is mounted into it says something else.
    RABBITMQ_CONFIGURATION=$(configuration "$root"/deploy/rabbitmq/*)
    MYSQL_CONFIGURATION=$(configuration "$root"/deploy/mysql/*)
    PROMETHEUS_CONFIGURATION=$(configuration "$root"/deploy/prometheus/*.yml)
    GRAFANA_CONFIGURATION=$(configuration "$root"/deploy/grafana/provisioning/*/*)
    export RABBITMQ_CONFIGURATION MYSQL_CONFIGURATION PROMETHEUS_CONFIGURATION GRAFANA_CONFIGURATION
    # The web server's name, in the table log_stream.
    WEB_HOST=${WEB_HOST:-$(uname -n)}
    export WEB_HOST
    DATASTREAM_REVISION=${DATASTREAM_REVISION:-$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)}
    export DATASTREAM_REVISION
    log_settings
}

demo=
log_settings() { # sets LOG_PATH, absolute, and LOG_DIR, the folder that is mounted
    case ,$(setting COMPOSE_PROFILES), in
        *,demo,*)
            demo=yes
            LOG_DIR=$root/.run/$project/logs
            LOG_PATH=$LOG_DIR/access.log
            ;;
    esac
    LOG_PATH=$(printf '%s\n' "${LOG_PATH:-${LOG_DIR:-/var/log/nginx}/access.log}" | tr , '\n' |
        sed "s|^ *||; s| *\$||; /^\$/d; /^\\//!s|^|$root/|" | paste -s -d , -)
    first=${LOG_PATH%%,*}
    LOG_DIR=${LOG_DIR:-${first%/*}}
    case $LOG_DIR in /*) ;; *) LOG_DIR=$root/$LOG_DIR ;; esac
    LOG_DIR=${LOG_DIR%/}
    if [ -z "${LOG_GID:-}" ] && [ -d "$LOG_DIR" ]; then
        LOG_GID=$(group_of "$(first_log)")
        # Never the group root: the producer's own says as much.
        if [ "$LOG_GID" = 0 ]; then LOG_GID=10001; fi
    fi
    export LOG_PATH LOG_DIR LOG_GID
}
first_log() ( # the first file that LOG_PATH names or matches; without one, the folder
    IFS=,
    for path in $LOG_PATH; do
        if [ -f "$path" ]; then printf '%s\n' "$path"; exit; fi
    done
    printf '%s\n' "$LOG_DIR"
)
# shellcheck disable=SC2012  # the group alone, and by its number
group_of() { ls -ldnL "$1" | awk '{ print $4 }'; }

deployed() { # what every script but deploy and destroy needs
    need_docker
    settings
    [ -f "$SECRETS_DIR/rabbitmq_definitions" ] || die 'nothing is deployed from this checkout: make deploy'
}
nothing_runs='nothing runs: make deploy'
ready() { # deployed, and it runs: Compose would make networks and volumes for a command that finds nothing
    deployed
    # shellcheck disable=SC2119
    [ "$(running)" != 0 ] || die "$nothing_runs"
}
