# shellcheck shell=sh
# What the scripts of this folder share: words, settings, compose. Sourced by each.
#
# A setting is looked up in the environment and then in .env, which Compose reads. The containers
# are given those that docker-compose.yml names and nothing else.

unset CDPATH # with it, cd may go elsewhere, and says where
root=$(cd "$(dirname "$0")/../.." && pwd)
compose_file=$root/deploy/docker-compose.yml
small_file=$root/deploy/docker-compose.small.yml
env_file=${ENV_FILE:-$root/.env}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "${said_by:-make ${0##*/}}" "$*" >&2
    exit 1
}

# setting NAME [DEFAULT]: prints its value.
setting() { eval "printf '%s\\n' \"\${$1:-\${2-}}\""; }
is_small() {
    case ${SMALL:-} in
        '' | 0) return 1 ;;
        1) return 0 ;;
        *) die "SMALL is '$SMALL': it is 1, for a machine of 2 GB, or 0" ;;
    esac
}
without() { case " $WITHOUT " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# --- Docker

need_docker() {
    command -v docker >/dev/null || die "there is no Docker here: install it (https://docs.docker.com/engine/install/), or try \`make demo\`, which needs none"
    docker version >/dev/null 2>"$scratch/docker" || refused_by_docker
}
refused_by_docker() {
    case $(cat "$scratch/docker") in
        *'permission denied'*)
            die "you may not use the Docker engine. Join its group (sudo usermod -aG docker $(id -un), then log in again), or use sudo" ;;
        *)
            die "no Docker engine answers ($(head -n 1 "$scratch/docker")). Start it: sudo systemctl start docker" ;;
    esac
}

compose() {
    docker compose --project-name "$project" --env-file /dev/null --file "$compose_file" \
        ${small:+--file "$small_file"} ${demo:+--profile demo} ${alerts:+--profile alerts} "$@"
}

# piped_logs OPTION...: as text alone; releases 2.25 and 2.26 of Compose begin each line with an escape.
piped_logs() { compose --ansi never logs "$@" | sed -u "s/^$(printf '\033')\[2K//"; }

# Whether somebody watches: then a command in a container gets a terminal too.
no_terminal() { if [ -t 0 ] && [ -t 1 ]; then :; else echo '-T'; fi; }
terminal() { if [ -t 0 ] && [ -t 1 ]; then echo '-t'; fi; }

# containers [OPTION]...: a line for each container of a service: service, id, and how it is in Docker's
# words. Compose says the same, and takes five times as long.
# shellcheck disable=SC2120  # it is deploy that gives options
containers() {
    docker ps --filter "label=com.docker.compose.project=$project" \
        --filter label=com.docker.compose.oneoff=False \
        --format '{{.Label "com.docker.compose.service"}} {{.ID}} {{.Status}}' "$@"
}

# running [SERVICE]: how many containers run, of it or of all
# shellcheck disable=SC2120  # it is the other scripts that name one
running() { containers 2>/dev/null | awk -v service="${1:-}" 'service == "" || $1 == service' | wc -l | tr -d ' '; }

# wanted: the services of the Compose file that run once they are deployed, without what the last deploy
# left out.
wanted() (
    profiles=,$COMPOSE_PROFILES,${ALERT_WEBHOOK:+alerts,}
    WITHOUT="$WITHOUT $(cat "$SECRETS_DIR/.without" 2>/dev/null || true)"
    # The migration job ends.
    profiles=$profiles awk '
        function tell() {
            if (name && name != "migrate" && (!profile || index(ENVIRON["profiles"], "," profile ","))) print name
            name = profile = ""
        }
        /^[a-z]/ { tell(); is_service = $1 == "services:" }
        is_service && /^  [a-z_]+:$/ { tell(); name = substr($1, 1, length($1) - 1) }
        /^    profiles: / { profile = $2; gsub(/[][]/, "", profile) }
        END { tell() }' "$compose_file" | while read -r service; do
        if ! without "$service"; then echo "$service"; fi
    done
)

# measures COMMAND: runs a command of the operator's image beside the services' metrics; in the
# doctor's container, which is there already, if it runs and has the memory.
measures() {
    doctor=$(containers 2>/dev/null | sed -n 's/^doctor \([^ ]*\) Up .*/\1/p' | head -n 1)
    # shellcheck disable=SC2046  # an option or none
    if [ -n "$doctor" ] && [ -z "$small" ]; then
        docker exec $(terminal) --env CONTAINERS "$doctor" python3 -m datastream_operator.containers "$@"
    else
        settings
        compose run --rm --no-deps $(no_terminal) --env CONTAINERS status "$@"
    fi
}

# --- what is written to .env, once it is seen to hold

draft() { # from here on .env is a draft
    kept_env=$env_file
    env_file=$scratch/env
    : >"$scratch/wrote"
    if [ -f "$kept_env" ]; then cat "$kept_env" >"$env_file"; else : >"$env_file"; fi
}

# remember NAME VALUE COMMENT: sets a setting, and writes it to the draft of .env, in its place if it has one.
remember() {
    eval "$1=\$2"
    case $2 in
        *[!A-Za-z0-9_./,:*@%+-]*) written="\"$(printf '%s' "$2" | sed 's/[\\"$]/\\&/g')\"" ;;
        *) written=$2 ;;
    esac
    name=$1 value=$written comment=$3 awk '
        $0 ~ "^[ \t]*(export[ \t]+)?" ENVIRON["name"] "[ \t]*[=:]" {
            if (!written++) print ENVIRON["name"] "=" ENVIRON["value"]
            next
        }
        { print }
        END { if (!written) print "# " ENVIRON["comment"] "\n" ENVIRON["name"] "=" ENVIRON["value"] }
    ' "$env_file" >"$scratch/env.new"
    mv "$scratch/env.new" "$env_file"
    say "Wrote $1=$2 to ${kept_env##*/}" >>"$scratch/wrote"
}

# put_draft: puts the draft in the place of .env, or of what that is a link to, with its mode. At once: a disk
# that is full leaves it as it was.
put_draft() {
    place=$(readlink -f "$kept_env" 2>/dev/null) || place=$kept_env
    new=$place.new.$$
    if ! {
        { [ ! -e "$place" ] || cp -p "$place" "$new"; } &&
            (umask 077 && cat "$env_file" >"$new") && mv -f "$new" "$place"
    }; then
        rm -f "$new"
        die "$kept_env cannot be written"
    fi
}

write_down() {
    if [ -s "$scratch/wrote" ]; then
        put_draft
        cat "$scratch/wrote"
    fi
    env_file=$kept_env
}

# --- settings

configuration() { cat "$@" 2>/dev/null | cksum | cut -d ' ' -f 1; } # FILE...: a number for what they say

# variables: each variable of docker-compose.yml and its default. (Not of `compose config --variables`:
# releases before 2.26 have no such option.)
# shellcheck disable=SC2016  # the text of a file
variables() { grep -o '\${[A-Z_]*:-[^}]*}' "$compose_file" | sed 's/..//; s/:-/ /; s/}$//' | sort -u; }
names() {
    variables | cut -d ' ' -f 1 | sort -u
    printf '%s\n' COMPOSE_PROJECT_NAME COMPOSE_PROFILES WITHOUT SMALL ALERT_WEBHOOK ALERTMANAGER_URL \
        RABBIT_PASSWORD MYSQL_PASSWORD MYSQL_ROOT_PASSWORD PRIVACY_KEY
}

# in_quotes: puts the directives of nginx.conf in .env, which stand there as they are, into Compose's quotes.
in_quotes() {
    LC_ALL=C awk '
        # Where in a line the directive ends, or 0: at a semicolon with at most a comment behind it.
        # A quoted text, which may go on in the next line, and a comment begin a word.
        function end_in(line,    at, end, char, in_word) {
            for (at = 1; at <= length(line); at++) {
                char = substr(line, at, 1)
                if (quote) {
                    if (char == "\\") at++
                    else if (char == quote) quote = ""
                    in_word = 1
                    continue
                }
                if (!in_word && char == "#") break
                if (!in_word && (char == "\"" || char == "\047")) quote = char
                in_word = char !~ /[ \t\r;]/
                if (in_word) end = 0
                if (char == ";") end = at
            }
            return end
        }
        NR == 1 { sub(/^\357\273\277/, "") } # a byte order mark
        !is_directive && /^[ \t]*(export[ \t]+)?[A-Za-z_][A-Za-z0-9_]*[ \t]*=[ \t]*([a-z0-9_]+[ \t]+)*log_format[ \t]/ {
            match($0, /=[ \t]*/)
            start = RSTART + RLENGTH
            printf "%s\"", substr($0, 1, start - 1)
            $0 = substr($0, start)
            is_directive = 1
            quote = ""
        }
        is_directive {
            end = end_in($0)
            if (end) $0 = substr($0, 1, end)
            gsub(/[\\"$]/, "\\\\&")
            sub(/\r$/, "")
            if (end) { $0 = $0 "\""; is_directive = 0 }
        }
        { print }'
}

# read_settings: sets each setting to its value; to nothing where it has none.
read_settings() {
    if [ -f "$env_file" ]; then in_quotes <"$env_file"; fi >"$scratch/quoted.env"
    printf '{name: data-stream, services: {settings: {image: none, environment: [%s]}}}' "$(names | paste -s -d , -)" |
        docker compose --ansi never --env-file "$scratch/quoted.env" --file - config --format json \
            >"$scratch/settings" 2>"$scratch/error" || refuse_settings
    if grep -q 'variable is not set' "$scratch/error"; then refuse_settings; fi
    for name in $(names); do eval "$name="; done
    # A line for each in JSON, in which Compose doubles a dollar sign; then as printf reads it.
    LC_ALL=C sed -n '
        s/^ *"\([A-Z_]*\)": "\(.*\)",\{0,1\}$/\1=\2/
        t found
        d
        :found
        s/\\\\/\\0134/g; s/\\"/"/g; s/\$\$/$/g
        s/\\u003c/</g; s/\\u003e/>/g; s/\\u0026/\&/g
        p' "$scratch/settings" >"$scratch/values"
    while IFS= read -r line; do
        case $line in *'\u'*) die "$env_file: ${line%%=*} holds a control character, or is no UTF-8" ;; esac
        value=$(printf '%b.' "${line#*=}") # the dot keeps a newline before it
        eval "${line%%=*}=\${value%.}"
    done <"$scratch/values"
    project=${COMPOSE_PROJECT_NAME:-data-stream}
    SECRETS_DIR=${SECRETS_DIR:-$root/deploy/secrets}
    case $SECRETS_DIR in /*) ;; *) SECRETS_DIR=$root/$SECRETS_DIR ;; esac
    export SECRETS_DIR
    small=
    if is_small; then small=yes; fi
}

# refuse_settings: says which line of .env is wrong, and why. Never a value: it may be a password.
# shellcheck disable=SC2016  # what stands in a file
refuse_settings() {
    docker compose version >/dev/null 2>&1 || die 'there is no docker compose: install the Compose plugin, version 2 (package docker-compose-plugin or docker-compose-v2)'
    error=$scratch/error
    dollar="a dollar sign is written "'$$, or stands in '"'...'"
    if grep -q 'unterminated quoted value' "$error"; then # Compose's number is that of the last line
        sed -n 's/.*unterminated quoted value //p' "$error" | head -n 1 >"$scratch/rest"
        line=$(awk 'NR == FNR { rest = $0; next }
            substr($0, length($0) - length(rest) + 1) == rest { print FNR; exit }' "$scratch/rest" "$scratch/quoted.env")
        malformed "$line" 'a quote that begins there does not end'
    fi
    said=$(sed -n 's/^failed to read .*line \([0-9]*\): \([a-z ]*[a-z]\).*/\1 \2/p' "$error" | head -n 1)
    if [ -n "$said" ]; then malformed "${said%% *}" "${said#* }"; fi
    name=$(sed -n '
        s/.*The [\\"]*\([A-Za-z0-9_]*\)[\\"]* variable is not set.*/\1/p
        s/.*required variable \([^ ]*\) is missing a value.*/\1/p' "$error" | head -n 1)
    if [ -n "$name" ]; then
        malformed "$(first_line "[\$][{]?$name([^A-Za-z0-9_]|\$)")" "the variable $name is not set; $dollar"
    fi
    if grep -q 'Invalid template' "$error"; then
        line=$(first_line '[$][{]([^A-Za-z_]|[A-Za-z0-9_]*([^A-Za-z0-9_:}?+-]|$)|[^}]*$)')
        malformed "$line" '${ begins a variable that does not end; '"$dollar"
    fi
    die "$env_file cannot be read; docker compose says: $(tail -n 1 "$error")"
}
first_line() { grep -nE "$1" "$scratch/quoted.env" | grep -vE '^[0-9]+:[[:space:]]*#' | head -n 1 | cut -d : -f 1; }
malformed() { die "$env_file cannot be read: line $1: $2"; }

settings() {
    for name in $(variables | cut -d ' ' -f 1); do
        eval "[ -z \"\${$name:-}\" ] || export $name"
    done
    alerts=${ALERT_WEBHOOK:+yes}
    configurations
    # The web server's name, in the table log_stream.
    WEB_HOST=${WEB_HOST:-$(uname -n)}
    export WEB_HOST
    DATASTREAM_REVISION=${DATASTREAM_REVISION:-$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)}
    export DATASTREAM_REVISION
    log_settings
}

# So that a container is made anew when what is mounted into it says something else.
configurations() {
    RABBITMQ_CONFIGURATION=$(configuration "$root"/deploy/rabbitmq/*)
    MYSQL_CONFIGURATION=$(configuration "$root"/deploy/mysql/*)
    PROMETHEUS_CONFIGURATION=$(configuration "$root"/deploy/prometheus/*.yml "$SECRETS_DIR/alertmanagers")
    ALERTMANAGER_CONFIGURATION=$(configuration "$SECRETS_DIR/alertmanager_yml" "$SECRETS_DIR/alert_webhook")
    GRAFANA_CONFIGURATION=$(configuration "$root"/deploy/grafana/provisioning/*/*)
    export RABBITMQ_CONFIGURATION MYSQL_CONFIGURATION PROMETHEUS_CONFIGURATION ALERTMANAGER_CONFIGURATION GRAFANA_CONFIGURATION
}

demo=
alerts=
log_settings() { # sets LOG_PATH, absolute, and LOG_DIR, the folder that is mounted
    case ,$COMPOSE_PROFILES, in
        *,demo,*)
            demo=yes
            LOG_DIR=$root/.run/$project/logs
            LOG_PATH=$LOG_DIR/access.log
            ;;
    esac
    LOG_PATH=$(printf '%s\n' "${LOG_PATH:-${LOG_DIR:-/var/log/nginx}/access.log}" | tr , '\n' |
        sed 's/^ *//; s/ *$//; /^$/d' | while IFS= read -r path; do
            case $path in /*) ;; *) path=$root/$path ;; esac
            printf '%s\n' "$path"
        done | paste -s -d , -)
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
    read_settings
    settings
    [ -f "$SECRETS_DIR/rabbitmq_definitions" ] || die 'nothing is deployed from this checkout: make deploy'
}
nothing_runs='nothing runs: make deploy'
ready() { # deployed, and it runs: Compose would make networks and volumes for a command that finds nothing
    deployed
    # shellcheck disable=SC2119
    [ "$(running)" != 0 ] || die "$nothing_runs"
}

# --- backups

# kept_volumes: what a deployment cannot make again. Prometheus's figures of the last days are left out.
kept_volumes() { echo "rabbitmq mysql producer $(without grafana || echo grafana)"; }
pinned_images() { variables | grep '_IMAGE ' | while read -r name default; do echo "$name=$(setting "$name" "$default")"; done; }
# in_volume VOLUME ro|rw COMMAND...: runs it as root with the volume at /volume, in an image that is there anyway.
in_volume() {
    volume=$1 mode=$2
    shift 2
    docker run --rm --interactive --network none --user 0:0 --volume "${project}_$volume:/volume:$mode" \
        "$(setting PYTHON_IMAGE "$(variables | sed -n 's/^PYTHON_IMAGE //p')")" "$@"
}
