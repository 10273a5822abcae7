# Sets up what tools/bench/peers, quality and memory need; sourced by them. They define `say`.

cache=${EMBER_PEERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ember-peers}
llama_version=${EMBER_PEERS_LLAMA:-0.3.36}

fail() {
  say "$*"
  exit 1
}

# What is built for one processor may crash on another that shares the folder.
processor() {
  if [[ -r /proc/cpuinfo ]]; then
    grep -m 1 -E '^(flags|Features)' /proc/cpuinfo
  else
    sysctl -n machdep.cpu.brand_string
  fi | cksum | cut -d ' ' -f 1
}

base_python() {
  local base=${EMBER_PEERS_PYTHON:-python3}
  "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$base: expected Python 3.11 or later; set EMBER_PEERS_PYTHON to one"
  printf '%s\n' "$base"
}

# Sets `python` to that of a virtual environment with llama-cpp-python, whose wheel is built once
# and kept beside it.
set_up_python() {
  local base place wheels
  base=$(base_python) || exit 1
  place=$cache/python-$(processor)-$llama_version
  wheels=$cache/wheels-$(processor)
  python=$place/bin/python
  [[ -e $place/complete ]] && return
  say "setting up llama-cpp-python $llama_version in $cache: minutes, once"
  mkdir -p "$wheels"
  "$base" -m venv "$place"
  if ! compgen -G "$wheels/llama_cpp_python-$llama_version-*.whl" >/dev/null; then
    CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" "$python" -m pip wheel --quiet --no-deps \
      --no-binary llama-cpp-python -w "$wheels" "llama-cpp-python==$llama_version" >&2 ||
      fail "llama-cpp-python cannot be built: is there a C++ compiler, and the network?"
  fi
  "$python" -m pip install --quiet numpy gguf "$wheels"/llama_cpp_python-"$llama_version"-*.whl >&2
  touch "$place/complete"
}

# Sets `torch_python` to that of a virtual environment with transformers and bitsandbytes.
set_up_torch() {
  local base place=$cache/torch
  torch_python=$place/bin/python
  [[ -e $place/complete ]] && return
  base=$(base_python) || exit 1
  say "setting up transformers and bitsandbytes in $cache: some gigabytes, once"
  "$base" -m venv "$place"
  "$torch_python" -m pip install --quiet torch transformers accelerate bitsandbytes >&2 ||
    fail "transformers and bitsandbytes cannot be installed: is there the network?"
  touch "$place/complete"
}

# Sets `ember` to a program that it builds from this checkout.
build_ember() {
  say "building Ember"
  (cd "$root" && swift build -c release --product ember >&2)
  ember=$root/.build/release/ember
}
