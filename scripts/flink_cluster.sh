#!/usr/bin/env bash
# A standalone Flink on this machine, for whoever has Beam's job server for it: one job manager, two task managers.
#
#   FLINK_JOB_SERVER_JAR=beam-runners-flink-1.20-job-server-2.77.0.jar scripts/flink_cluster.sh up
#   scripts/flink_cluster.sh kill-worker     kills a task manager (SIGKILL) and starts another one
#   scripts/flink_cluster.sh kill-manager    kills the job manager
#   scripts/flink_cluster.sh down            ends all of it
#
# Flink comes from PyPI (apache-flink-libraries) into TEXTMILL_TOOLS (default ~/.cache/textmill). It needs Java 11 or 17.
set -euo pipefail

flink=1.20.3
tools=${TEXTMILL_TOOLS:-$HOME/.cache/textmill}
home=$tools/flink-$flink run=$tools/flink-run

say() { printf '%s\n' "$*" >&2; }

get() {
  [ -d "$home/lib" ] && return
  mkdir -p "$tools"
  local scratch
  scratch=$(mktemp -d "$tools/get-XXXXXX")
  say "getting Flink $flink (230 MB, once)"
  "${PYTHON:-python3}" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation \
    --dest "$scratch" "apache-flink-libraries==$flink"
  tar -xzf "$scratch"/apache*flink*libraries-$flink.tar.gz -C "$scratch"
  mkdir "$scratch/home"
  mv "$scratch"/apache*flink*libraries-$flink/deps/{lib,opt,plugins} "$scratch/home/"
  mv "$scratch/home" "$home" # whole, or not at all
  rm -rf "$scratch"
}

start() { # name, main class, arguments
  local name=$1 class=$2
  shift 2
  local opens # what Java 17 wants
  opens=$(printf -- '--add-opens=java.base/%s=ALL-UNNAMED ' java.lang java.lang.invoke java.math java.net java.io \
    java.nio java.text java.time java.util java.util.concurrent java.util.concurrent.atomic java.util.concurrent.locks)
  # shellcheck disable=SC2086
  nohup java $opens -Xmx768m -cp "$home/lib/*" "$class" --configDir "$run" "$@" >"$run/$name.out" 2>&1 &
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
    -D taskmanager.host=localhost -D taskmanager.bind-host=127.0.0.1 -D "taskmanager.resource-id=worker-$1"
}

up() {
  [ -f "${FLINK_JOB_SERVER_JAR:-}" ] || { say "FLINK_JOB_SERVER_JAR has to name Beam's job server for Flink"; exit 1; }
  command -v java >/dev/null || { say "Flink needs Java 11 or 17: apt-get install openjdk-17-jre-headless"; exit 1; }
  get
  mkdir -p "$run"
  cat >"$run/config.yaml" <<'CONFIG'
jobmanager.rpc.address: localhost
jobmanager.bind-host: 127.0.0.1
rest.address: localhost
rest.bind-address: 127.0.0.1
# A lost task manager restarts the job, a few times.
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 10
restart-strategy.fixed-delay.delay: 2 s
heartbeat.timeout: 10000
CONFIG
  start manager org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint \
    -D jobmanager.memory.process.size=1024m
  task_manager 1
  task_manager 2
  for _ in $(seq 120); do
    if curl -fsS http://localhost:8081/overview 2>/dev/null | grep '"taskmanagers":2' >/dev/null; then
      say "textmill generate ... -- --runner=FlinkRunner --flink_master=localhost:8081 --parallelism=2 \\"
      say "    --flink_job_server_jar=$FLINK_JOB_SERVER_JAR --environment_type=PROCESS"
      return
    fi
    sleep 0.5
  done
  say "Flink did not start; see $run/*.out"
  exit 1
}

stop() { # name, signal
  kill "-$2" "$(cat "$run/$1.pid")" 2>/dev/null || true
  rm -f "$run/$1.pid"
}

case ${1:-} in
  up) up ;;
  kill-worker)
    name=$(basename "$(find "$run" -name 'worker-*.pid' | sort | head -n 1)" .pid)
    [ -n "$name" ] || { say "no task manager runs"; exit 1; }
    stop "$name" KILL
    task_manager "$(date +%s)" ;;
  kill-manager) stop manager KILL ;;
  down) for pid in "$run"/*.pid; do if [ -e "$pid" ]; then stop "$(basename "$pid" .pid)" TERM; fi; done ;;
  *) say "usage: scripts/flink_cluster.sh up|kill-worker|kill-manager|down"; exit 2 ;;
esac
