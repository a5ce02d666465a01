# shellcheck shell=bash
# How each server is fetched, configured, launched and known to be ready. Sourced after lib.sh.

JAVA="${JAVA_HOME:+$JAVA_HOME/bin/}java"

require_programs() {
  local program missing=()
  for program in "$JAVA" flock setsid; do
    command -v "$program" >/dev/null || missing+=("${program##*/}")
  done
  ((${#missing[@]} == 0)) || die "missing: ${missing[*]}; run infra/local/install"
}

jar_cache() {
  printf '%s/wakeline/infra-%s' "${XDG_CACHE_HOME:-$HOME/.cache}" "$(sha256sum <"$HERE/pom.xml" | cut -c1-16)"
}

# fetch_jars kafka|cql: downloads once; a directory appears only when it is complete.
fetch_jars() {
  local cache lib lock
  cache=$(jar_cache)
  lib=$cache/$1
  [[ ! -d $lib ]] || return 0
  command -v mvn >/dev/null || die "missing: mvn; run infra/local/install"
  mkdir -p "$cache"
  exec {lock}>"$cache/lock"
  flock "$lock"
  if [[ ! -d $lib ]]; then
    echo "fetching the jars of $1 into $lib (once)" >&2
    rm -rf "$lib.part"
    # With -U, what was not found the last time is looked for again.
    "$HERE/../retry" mvn -U -q -B -f "$HERE/pom.xml" -P"$1" -DoutputDirectory="$lib.part" \
      org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies >&2 || die "maven could not fetch the jars of $1"
    mv "$lib.part" "$lib"
    exec {lock}>&-
    rehearse "$1"
  else
    exec {lock}>&-
  fi
}

# Starts and stops the server once, to keep its loaded classes in an archive: every later start takes about 40 % less.
# The JVM ignores an archive that does not fit it, and without one everything works too.
rehearse() {
  local archive scratch
  archive=$(jar_cache)/$1.jsa
  scratch=$(mktemp -d)
  echo "making $archive (once)" >&2
  if WAKELINE_LOCAL_ARCHIVE="$archive.part" "$HERE/up" --dir "$scratch" --only "$1" >/dev/null 2>&1; then
    "$HERE/down" --dir "$scratch" --delete
    [[ ! -e $archive.part ]] || mv "$archive.part" "$archive"
  else
    echo "no archive: see $scratch/log" >&2
  fi
}

class_archive() {
  local archive
  archive=$(jar_cache)/$1.jsa
  if [[ -n ${WAKELINE_LOCAL_ARCHIVE:-} ]]; then
    echo "-XX:ArchiveClassesAtExit=$WAKELINE_LOCAL_ARCHIVE"
  else
    echo "-XX:SharedArchiveFile=$archive"
  fi
}

# Below the kernel's range for outgoing connections, so that nothing takes a port while its server is being restarted.
free_port() {
  local port
  for _ in {1..200}; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    [[ " ${TAKEN_PORTS:-} " != *" $port "* ]] || continue
    port_answers "$port" || { printf '%s' "$port"; return; }
  done
  die "no free port found"
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- Kafka

configure_kafka() {
  local name=$1 id=${1#kafka-} port internal count copies voters proxied='' advertised=''
  # Before any broker runs: two that find none would each make their own.
  cluster_id >/dev/null
  port=$(node_port "$name") internal=$(node_internal_port "$name")
  count=$(node_names | grep -c '^kafka-')
  copies=$((count >= 3 ? 3 : 1))
  voters=$(awk '/^kafka-/ { sub("kafka-", "", $1); print $1 "@127.0.0.1:" $3 }' "$DIR/nodes" | paste -sd,)
  {
    cat "$HERE/kafka.properties"
    echo "node.id=$id"
    echo "controller.quorum.voters=$voters"
    if [[ -s $DIR/conf/$name.advertised ]]; then
      proxied=",PROXIED://127.0.0.1:$(node_line "$name" | cut -d' ' -f4)"
      advertised=",PROXIED://$(<"$DIR/conf/$name.advertised")"
    fi
    echo "listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$internal$proxied"
    echo "advertised.listeners=PLAINTEXT://127.0.0.1:$port$advertised"
    echo "log.dirs=$DIR/data/$name"
    for topic in offsets.topic transaction.state.log share.coordinator.state.topic; do echo "$topic.replication.factor=$copies"; done
    for topic in transaction.state.log share.coordinator.state.topic; do echo "$topic.min.isr=$((copies > 1 ? 2 : 1))"; done
    echo "default.replication.factor=$copies"
    echo "min.insync.replicas=$((copies > 1 ? 2 : 1))"
  } >"$DIR/conf/$name.properties"
}

# A cluster id is 16 random bytes in URL-safe base64; every fresh cluster gets its own, as a real one would.
cluster_id() {
  [[ -s $DIR/cluster-id ]] || head -c 16 /dev/urandom | base64 | tr '+/' 'Aa' | tr -d '=' >"$DIR/cluster-id"
  cat "$DIR/cluster-id"
}

run_kafka() {
  local name=$1 conf="$DIR/conf/$1.properties" heap=512m
  local java=("$JAVA" -cp "$(jar_cache)/kafka/*" "@$HERE/kafka.jvm")
  (($(node_names | grep -c '^kafka-') == 1)) || heap=256m
  if [[ ! -e $DIR/data/$name/meta.properties ]]; then
    "${java[@]}" -XX:TieredStopAtLevel=1 "-XX:SharedArchiveFile=$(jar_cache)/kafka.jsa" kafka.tools.StorageTool format -t "$(cluster_id)" -c "$conf"
  fi
  exec "${java[@]}" "$(class_archive kafka)" "-Xmx$heap" "$(marker "$name")" kafka.Kafka "$conf"
}

# ---- Cassandra

configure_cql() {
  local port internal
  port=$(node_port cql) internal=$(node_internal_port cql)
  {
    cat "$HERE/cassandra.yaml"
    echo "native_transport_port: $port"
    echo "storage_port: $internal"
    echo "seed_provider: [{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{seeds: \"127.0.0.1:$internal\"}]}]"
    echo "data_file_directories: [\"$DIR/data/cql/data\"]"
    echo "commitlog_directory: \"$DIR/data/cql/commitlog\""
    echo "saved_caches_directory: \"$DIR/data/cql/saved_caches\""
    echo "hints_directory: \"$DIR/data/cql/hints\""
    echo "cdc_raw_directory: \"$DIR/data/cql/cdc_raw\""
  } >"$DIR/conf/cql.yaml"
}

run_cql() {
  local jars jamm
  jars=$(jar_cache)/cql
  jamm=$(compgen -G "$jars/jamm-*.jar")
  exec "$JAVA" "@$HERE/cassandra.jvm" "$(class_archive cql)" -Xms512m -Xmx1g -cp "$jars/*" "-javaagent:$jamm" "$(marker cql)" \
    "-Dcassandra.config=file://$DIR/conf/cql.yaml" "-Dcassandra.storagedir=$DIR/data/cql" \
    "-Dlogback.configurationFile=$HERE/logback.xml" org.apache.cassandra.service.CassandraDaemon
}

# ---- either

kind_of() { case $1 in kafka-*) echo kafka ;; *) echo cql ;; esac; }

# launch NAME…: all of them at once, each in a session of its own, so that a Ctrl-C here does not reach it.
launch() {
  local name
  for name in "$@"; do
    [[ ! -s $DIR/log/$name.log ]] || cat "$DIR/log/$name.log" >>"$DIR/log/$name.log.old"
    mkdir -p "$DIR/data/$name"
    "configure_$(kind_of "$name")" "$name"
    setsid "$HERE/run" "$DIR" "$name" "$(marker "$name")" </dev/null >"$DIR/log/$name.log" 2>&1 9>&- &
    echo "$!" >"$DIR/pids/$name.pid"
    until running_pid "$name" >/dev/null || ! kill -0 "$!" 2>/dev/null; do sleep 0.01; done
  done
}

is_ready() {
  local line
  case $(kind_of "$1") in
    kafka) line='Kafka Server started' ;;
    cql) line='Starting listening for CQL clients' ;;
  esac
  grep -qF "$line" "$DIR/log/$1.log" && port_answers "$(node_port "$1")"
}

# wait_ready NAME…: fails at once when one dies.
wait_ready() {
  local name deadline=$((SECONDS + READY_DEADLINE_S))
  for name in "$@"; do
    until is_ready "$name"; do
      is_alive "$name" || give_up "$name" "died"
      ((SECONDS < deadline)) || give_up "$name" "is not ready after $READY_DEADLINE_S s"
      sleep 0.1
    done
  done
}

give_up() {
  echo "--- the end of $DIR/log/$1.log" >&2
  tail -n 40 "$DIR/log/$1.log" >&2
  die "$1 $2"
}

write_env() {
  local kafka
  kafka=$(awk '/^kafka-/ { print "127.0.0.1:" $2 }' "$DIR/nodes" | paste -sd,)
  {
    [[ -z $kafka ]] || echo "WAKELINE_KAFKA=$kafka"
    [[ -z $(node_line cql) ]] || echo "WAKELINE_CQL=127.0.0.1:$(node_port cql)"
  } >"$DIR/env.part"
  mv "$DIR/env.part" "$DIR/env"
}
