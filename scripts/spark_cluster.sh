#!/usr/bin/env bash
# A standalone Spark on this machine: a master, workers of one core each, and Beam's job server.
#
#   scripts/spark_cluster.sh up               starts it, and says how textmill uses it
#   scripts/spark_cluster.sh worker URL       starts workers for a master that runs on another host
#   scripts/spark_cluster.sh status           says what listens where
#   scripts/spark_cluster.sh kill-executor    kills an executor (SIGKILL); its worker starts another one
#   scripts/spark_cluster.sh kill-worker      kills a worker with all that it started, like a lost machine
#   scripts/spark_cluster.sh kill-python, kill-master, kill-job-server
#   scripts/spark_cluster.sh down             ends all of it, and removes what it wrote
#   scripts/spark_cluster.sh get              only downloads: Spark from PyPI, Beam's job server from Maven
#
# It needs Java 11 or 17, and for the first download pip and Maven. Downloads go to TEXTMILL_TOOLS
# (default ~/.cache/textmill). All else goes to SPARK_RUN, so several clusters can run at a time.
#   PYTHON             the Python that has textmill (default python3)
#   SPARK_WORKERS      workers on this host (default 2)
#   SPARK_HOST         the address of master and job server (default 127.0.0.1)
#   SPARK_LOCAL_IP     the address of this host's workers (default SPARK_HOST)
#   SPARK_MASTER_PORT, SPARK_JOB_PORT    ports (default 7077 and 8099; 0 takes a free one)
#   SPARK_PARALLELISM  units that Spark shares out and tries again (default 4 for each worker)
#   SPARK_EXECUTOR_MEMORY  for Java (default 600m); a Python process with TensorFlow is beside it
set -euo pipefail

spark=3.5.7 beam=2.62.0
tools=${TEXTMILL_TOOLS:-$HOME/.cache/textmill}
host=${SPARK_HOST:-127.0.0.1} ip=${SPARK_LOCAL_IP:-${SPARK_HOST:-127.0.0.1}}
run=${SPARK_RUN:-$tools/spark-run-$(uname -n)-$ip}
workers=${SPARK_WORKERS:-2}
python=${PYTHON:-python3}
# For each job Beam sends the jars of its server to each executor, 330 MB, except those with gradle/wrapper
# in their path. Executors of this script's workers read them where they are.
cache=$tools/gradle/wrapper
home=$cache/spark-$spark/pyspark jars=$cache/beam-spark-$beam
light="-XX:+UseSerialGC -XX:TieredStopAtLevel=1" # Java starts faster, and does little here
executor_memory=${SPARK_EXECUTOR_MEMORY:-600m}

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

get() {
  [ -d "$home" ] && [ -d "$jars" ] && return
  mkdir -p "$cache"
  local scratch
  scratch=$(mktemp -d "$cache/get-XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$scratch'" EXIT
  if [ ! -d "$home" ]; then
    say "getting Spark $spark from PyPI (320 MB, once)"
    "$python" -m pip install --quiet --no-deps --target "$scratch/spark" "pyspark==$spark" >"$scratch/log" 2>&1 ||
      fail "no Spark: pip could not get pyspark $spark: $(tail -n 1 "$scratch/log")"
    [ -d "$home" ] || mv "$scratch/spark" "$cache/spark-$spark" # whole, or not at all
  fi
  if [ ! -d "$jars" ]; then
    command -v mvn >/dev/null || fail "no job server: it comes by Maven: apt-get install maven"
    say "getting Beam's job server $beam from Maven (95 MB, once)"
    cat >"$scratch/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>textmill</groupId><artifactId>job-server</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.beam</groupId><artifactId>beam-runners-spark-3</artifactId><version>$beam</version>
  </dependency></dependencies>
</project>
POM
    mvn --quiet --batch-mode --file "$scratch/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
      "-DoutputDirectory=$scratch/beam" >"$scratch/log" 2>&1 ||
      fail "no job server: Maven could not get beam-runners-spark-3 $beam: $(grep -m 1 ERROR "$scratch/log")"
    rm -f "$scratch"/beam/slf4j-api-* # Spark has a newer one; with both nothing is logged
    [ -d "$jars" ] || mv "$scratch/beam" "$jars"
  fi
}

needs_java() {
  command -v java >/dev/null || fail "Spark needs Java 11 or 17: apt-get install openjdk-17-jre-headless"
}

# What Java 17 wants Spark and Beam to be started with.
opens() {
  printf -- '--add-opens=java.base/%s=ALL-UNNAMED ' \
    java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util java.util.concurrent \
    java.util.concurrent.atomic sun.nio.ch sun.nio.cs sun.security.action sun.util.calendar
}

# Java as all of the cluster is started: also a command that Beam's SparkRunner can call.
write_java() {
  cat >"$run/java" <<JAVA
#!/bin/sh
export SPARK_HOME='$home' SPARK_SCALA_VERSION=2.12 SPARK_LOCAL_IP=$ip SPARK_LOCAL_DIRS='$run/local'
exec java $(opens) $light '-Dtextmill.run=$run' -Xmx512m '-Dlog4j2.configurationFile=$run/log4j2.properties' \\
  -Dspark.driver.host=$host -Dspark.driver.bindAddress=$host -Dspark.ui.enabled=false \\
  -Dspark.executor.memory=$executor_memory '-Dspark.executor.extraClassPath=$jars/*' \\
  '-Dspark.executor.extraJavaOptions=$light $(opens)' \\
  -Dspark.default.parallelism=${SPARK_PARALLELISM:-$((4 * (workers > 0 ? workers : 2)))} \\
  -Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.interval=60 -Dspark.worker.cleanup.appDataTtl=60 "\$@"
JAVA
  chmod +x "$run/java"
}

# Beam's SparkRunner wants the job server as one jar: this one only names the others.
write_jar() {
  "$python" - "$run/job-server.jar" "$jars"/*.jar "$home"/jars/*.jar <<'PYTHON'
import sys, zipfile
from pathlib import Path
target, *jars = sys.argv[1:]
main = "Main-Class: org.apache.beam.runners.spark.SparkJobServerDriver"
path = "Class-Path: " + " ".join(Path(jar).as_uri() for jar in jars)
# A line has at most 72 bytes; the next one goes on after a space.
lines = [path[:70], *(" " + path[i : i + 70] for i in range(70, len(path), 70))]
with zipfile.ZipFile(target, "w") as jar:
    jar.writestr("META-INF/MANIFEST.MF", "\n".join(["Manifest-Version: 1.0", main, *lines, ""]))
PYTHON
}

begin() { # name, arguments of Java
  local name=$1
  shift
  set -m # a process group for each, so that it ends with all that it has started
  nohup "$run/java" "$@" >"$run/$name.log" 2>&1 </dev/null &
  set +m
  echo $! >"$run/$name.pid"
}

await() { # name, what its log says when it is ready
  for _ in $(seq 300); do
    grep -qs "$2" "$run/$1.log" && return
    kill -0 "$(cat "$run/$1.pid")" 2>/dev/null || break
    sleep 0.2
  done
  fail "$1 did not start: $(grep -E -m 1 'Exception|Error|error' "$run/$1.log" || echo 'it says nothing'); see $run/$1.log"
}

alive() { # name; a process of another run may have its number
  [ -f "$run/$1.pid" ] && [[ $(ps -ww -o args= -p "$(cat "$run/$1.pid")") == *"-Dtextmill.run=$run "* ]]
}

start_workers() { # the master's URL
  for i in $(seq "$workers"); do
    begin "worker-$i" -cp "$home/jars/*" \
      org.apache.spark.deploy.worker.Worker --host "$ip" --cores 1 --memory "$executor_memory" \
      --webui-port 0 --work-dir "$run/work" "$1"
  done
  for i in $(seq "$workers"); do await "worker-$i" 'Successfully registered with master'; done
}

prepare() {
  needs_java
  get
  for pid in "$run"/*.pid; do
    [ -e "$pid" ] && alive "$(basename "$pid" .pid)" && fail "a cluster runs already; 'down' ends it ($run)"
  done
  [ -e "$run/java" ] || [ -z "$(ls -A "$run" 2>/dev/null)" ] || fail "SPARK_RUN has to be a new folder: $run"
  rm -rf "$run"
  mkdir -p "$run/work"
  cat >"$run/log4j2.properties" <<'PROPERTIES'
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.name = out
appender.out.type = Console
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
PROPERTIES
  write_java
}

up() {
  prepare
  begin master -cp "$home/jars/*" org.apache.spark.deploy.master.Master \
    --host "$host" --port "${SPARK_MASTER_PORT:-7077}" --webui-port 0
  await master 'I have been elected leader'
  local url
  url=$(grep -o 'Starting Spark master at spark://.*' "$run/master.log" | grep -o 'spark://.*')
  start_workers "$url"
  write_jar
  begin job-server -jar "$run/job-server.jar" \
    "--job-host=$host" "--job-port=${SPARK_JOB_PORT:-8099}" --artifact-port=0 --expansion-port=0 \
    "--artifacts-dir=$run/artifacts" "--spark-master-url=$url"
  await job-server 'JobService started on'
  echo "$url" >"$run/url"
  say "Spark $spark at $url with $workers workers; logs in $run"
  listening
  say "textmill generate ... -- --runner=SparkRunner --job_endpoint=$host:$(grep -o 'JobService started on .*' "$run/job-server.log" | grep -o '[0-9]*$')"
  say "or, with a job server of its own for each command: ... -- --runner=SparkRunner --spark_master_url=$url \\"
  say "    --spark_job_server_jar=$run/job-server.jar --job_server_java_launcher=$run/java"
}

signal() { # name, signal: to the process and all that it started
  alive "$1" || return 1
  kill "-$2" -- "-$(cat "$run/$1.pid")"
}

names() { # of all that runs
  for pid in "$run"/*.pid; do
    name=$(basename "$pid" .pid)
    if alive "$name"; then echo "$name"; fi
  done
}

executor() { # name of the worker, whose child it is
  pgrep -P "$(cat "$run/$1.pid")" java
}

busy_worker() {
  for name in $(names | grep worker-); do
    if executor "$name" >/dev/null; then echo "$name"; return; fi
  done
  fail "no executor runs: they live as long as a job"
}

listening() {
  command -v ss >/dev/null || { say "what listens where: ss is missing here"; return; }
  local where
  for name in $(names); do
    where=$(for pid in $(pgrep -g "$(cat "$run/$name.pid")"); do ss -ltnpH | grep "pid=$pid," | awk '{print $4}'; done |
      sed -e 's/^\[::ffff:\(.*\)\]/\1/' -e 's/^\*:/ALL INTERFACES:/' | sort -u | tr '\n' ' ') || true # most processes listen on nothing
    say "  $name listens on $where"
  done
}

down() {
  [ -e "$run/java" ] || fail "no cluster of this script is in $run"
  for name in $(names); do signal "$name" TERM || true; done
  for _ in $(seq 50); do
    if [ -z "$(names)" ]; then break; fi
    sleep 0.1
  done
  for name in $(names); do signal "$name" KILL || true; done
  for pid in "$run"/*.pid; do # what a process has left behind
    pkill -KILL -g "$(cat "$pid" 2>/dev/null || echo none)" 2>/dev/null || true
  done
  rm -rf "$run"
}

case ${1:-} in
  get) get ;;
  up) up ;;
  worker)
    [ $# = 2 ] || fail "usage: scripts/spark_cluster.sh worker spark://HOST:PORT"
    prepare
    start_workers "$2"
    say "$workers workers on $ip for $2; logs in $run"
    listening ;;
  status) listening ;;
  kill-python)
    name=$(busy_worker)
    # The executor's child only looks after the one that works, its own child.
    kill -KILL "$(pgrep -P "$(pgrep -P "$(executor "$name")" | head -n 1)" | head -n 1)" || fail "no Python process works yet"
    say "killed the Python process of $name" ;;
  kill-executor)
    name=$(busy_worker)
    kill -KILL "$(executor "$name")"
    say "killed the executor of $name" ;;
  kill-worker)
    name=$(busy_worker)
    signal "$name" KILL
    say "killed $name and all that it started" ;;
  kill-master) signal master KILL || fail "no master runs" ;;
  kill-job-server) signal job-server KILL || fail "no job server runs" ;;
  down) down ;;
  *) say "usage: scripts/spark_cluster.sh up|worker|status|kill-...|down; the file's first lines tell more"; exit 2 ;;
esac
