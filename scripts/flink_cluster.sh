#!/usr/bin/env bash
# A standalone Flink on this machine: one job manager, two task managers, each a process of its own.
#
#   scripts/flink_cluster.sh up            starts it, and Beam's job server where its jar is there
#   scripts/flink_cluster.sh kill-worker   kills a task manager (SIGKILL) and starts another one
#   scripts/flink_cluster.sh kill-manager  kills the job manager
#   scripts/flink_cluster.sh down          ends all of it
#
# Flink comes from PyPI (apache-flink-libraries) and the job server from Maven, into
# TEXTMILL_TOOLS (default ~/.cache/textmill), outside the repository. It needs Java 11 or 17.
# FLINK_JOB_SERVER_JAR names a job server jar that you have already.
set -euo pipefail

flink=1.20.3 beam=2.77.0
tools=${TEXTMILL_TOOLS:-$HOME/.cache/textmill}
home=$tools/flink-$flink run=$tools/flink-run
jar=${FLINK_JOB_SERVER_JAR:-$tools/beam-runners-flink-${flink%.*}-job-server-$beam.jar}
python=${PYTHON:-python3}
port=${FLINK_PORT:-8081} workers=${FLINK_WORKERS:-2}

say() { printf '%s\n' "$*" >&2; }

get_flink() {
  [ -d "$home/lib" ] && return
  mkdir -p "$tools"
  local scratch
  scratch=$(mktemp -d "$tools/get-XXXXXX")
  say "getting Flink $flink (230 MB, once)"
  "$python" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation \
    --dest "$scratch" "apache-flink-libraries==$flink"
  tar -xzf "$scratch"/apache*flink*libraries-$flink.tar.gz -C "$scratch"
  mkdir "$scratch/home"
  mv "$scratch"/apache*flink*libraries-$flink/deps/{lib,opt,plugins} "$scratch/home/"
  mv "$scratch/home" "$home" # whole, or not at all
  rm -rf "$scratch"
}

get_job_server() {
  [ -f "$jar" ] && return
  command -v mvn >/dev/null || { say "no job server: install Maven, or name its jar in FLINK_JOB_SERVER_JAR"; return 1; }
  local name
  name=$(basename "$jar" "-$beam.jar")
  mvn --quiet --batch-mode dependency:copy "-Dartifact=org.apache.beam:$name:$beam" \
    "-DoutputDirectory=$tools" >&2 || { say "no job server: Maven has no org.apache.beam:$name:$beam here"; return 1; }
}

# Options that Java 17 wants Flink to be started with.
java_options() {
  printf -- '--add-opens=java.base/%s=ALL-UNNAMED ' \
    java.lang java.lang.invoke java.math java.net java.io java.nio java.text java.time java.util \
    java.util.concurrent java.util.concurrent.atomic java.util.concurrent.locks
}

start() { # name, main class, arguments
  local name=$1 class=$2
  shift 2
  # shellcheck disable=SC2046
  nohup java $(java_options) -Xmx"${FLINK_HEAP:-768m}" -Dlog4j.configurationFile="$run/log4j.properties" \
    -Dlog.file="$run/$name.log" -cp "$home/lib/*" "$class" --configDir "$run" "$@" \
    >"$run/$name.out" 2>&1 &
  echo $! >"$run/$name.pid"
}

task_manager() {
  start "worker-$1" org.apache.flink.runtime.taskexecutor.TaskManagerRunner \
    -D taskmanager.numberOfTaskSlots=1 -D taskmanager.cpu.cores=1 \
    -D taskmanager.memory.task.heap.size=512m -D taskmanager.memory.task.off-heap.size=64m \
    -D taskmanager.memory.network.min=64m -D taskmanager.memory.network.max=64m \
    -D taskmanager.memory.managed.size=128m \
    -D taskmanager.memory.framework.heap.size=128m -D taskmanager.memory.framework.off-heap.size=128m \
    -D taskmanager.memory.jvm-metaspace.size=256m \
    -D taskmanager.memory.jvm-overhead.min=192m -D taskmanager.memory.jvm-overhead.max=192m \
    -D taskmanager.host=localhost -D "taskmanager.bind-host=127.0.0.1" -D "taskmanager.resource-id=worker-$1"
}

job_manager() {
  start manager org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint \
    -D jobmanager.memory.process.size=1024m
}

count() { curl -fsS "http://localhost:$port/overview" 2>/dev/null | grep -o '"taskmanagers":[0-9]*' | cut -d: -f2 || true; }

wait_for() { # task managers
  for _ in $(seq 120); do
    [ "$(count)" = "$1" ] && return
    sleep 0.5
  done
  say "Flink did not start; see $run/*.out"
  exit 1
}

up() {
  command -v java >/dev/null || { say "Flink needs Java 11 or 17: apt-get install openjdk-17-jre-headless"; exit 1; }
  get_flink
  mkdir -p "$run"
  cat >"$run/config.yaml" <<EOF
jobmanager.rpc.address: localhost
jobmanager.bind-host: 127.0.0.1
rest.address: localhost
rest.bind-address: 127.0.0.1
rest.port: $port
# A lost task manager restarts the job, a few times.
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 10
restart-strategy.fixed-delay.delay: 2 s
heartbeat.interval: 2000
heartbeat.timeout: 10000
parallelism.default: $workers
classloader.check-leaked-classloader: false
EOF
  cat >"$run/log4j.properties" <<'EOF'
rootLogger.level = WARN
rootLogger.appenderRef.file.ref = file
appender.file.name = file
appender.file.type = File
appender.file.fileName = ${sys:log.file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %-5p %c - %m%n
EOF
  job_manager
  for i in $(seq "$workers"); do task_manager "$i"; done
  wait_for "$workers"
  say "Flink $flink with $workers task managers at http://localhost:$port"
  get_job_server || exit 3
  say "textmill generate ... -- --runner=FlinkRunner --flink_master=localhost:$port \\"
  say "    --flink_job_server_jar=$jar --parallelism=$workers --environment_type=..."
}

stop() { # name, signal
  [ -f "$run/$1.pid" ] || return 0
  kill "-$2" "$(cat "$run/$1.pid")" 2>/dev/null || true
  rm -f "$run/$1.pid"
}

case ${1:-} in
  up) up ;;
  kill-worker)
    name=$(basename "$(find "$run" -name 'worker-*.pid' | sort | head -n 1)" .pid)
    [ -n "$name" ] || { say "no task manager runs"; exit 1; }
    stop "$name" KILL
    task_manager "$(date +%s)"
    say "killed $name, started another one" ;;
  kill-manager) stop manager KILL; say "killed the job manager; 'up' starts another one" ;;
  down)
    for pid in "$run"/*.pid; do [ -e "$pid" ] && stop "$(basename "$pid" .pid)" TERM; done
    say "ended" ;;
  *) say "usage: scripts/flink_cluster.sh up|kill-worker|kill-manager|down"; exit 2 ;;
esac
