#!/usr/bin/env bash
# Which lines of its parser each fuzz target reaches with the corpus in the tree, as the table in docs/TESTING.md.
#
# usage: tests/fuzz/coverage.sh [TARGET...]    (needs clang and its llvm-profdata and llvm-cov; builds in build/fuzz-coverage)
#
# A target names its parser's files in its first lines: `covers: FILE...`.
set -euo pipefail
cd "$(dirname "$0")/../.."
BUILD=${WEIR_COVERAGE_BUILD:-build/fuzz-coverage}
FLAGS="-fprofile-instr-generate -fcoverage-mapping"

die() {
    printf 'coverage.sh: %s\n' "$*" >&2
    exit 1
}

# The tools of the compiler's own version.
version=$(clang -dumpversion | cut -d . -f 1)
profdata=$(command -v "llvm-profdata-$version" llvm-profdata | head -n 1) || die "there is no llvm-profdata."
cov=$(command -v "llvm-cov-$version" llvm-cov | head -n 1) || die "there is no llvm-cov."

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in tests/fuzz/fuzz_*.c; do
        name=${file##*/fuzz_}
        targets+=("${name%.c}")
    done
fi

cmake -S . -B "$BUILD" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug \
    "-DCMAKE_C_FLAGS=$FLAGS" "-DCMAKE_CXX_FLAGS=$FLAGS" >"$BUILD.log" 2>&1 ||
    { tail "$BUILD.log" >&2 && die "cmake fails."; }
cmake --build "$BUILD" -- "${targets[@]/#/fuzz.fuzz_}" >"$BUILD.log" 2>&1 || { tail "$BUILD.log" >&2 && die "the build fails."; }

# lines PROFILE PROGRAM FILE: the lines that ran, and all of them. By the end of its name: the compiler was told the whole
# path, or, by a cache, a relative one.
lines() {
    "$cov" export "$2" -instr-profile="$1" -summary-only |
        /usr/bin/python3 -c 'import json, sys
for file in json.load(sys.stdin)["data"][0]["files"]:
    if file["filename"].endswith("/" + sys.argv[1]):
        print(file["summary"]["lines"]["covered"], file["summary"]["lines"]["count"])' "$3"
}

printf '| target | inputs | parser | lines reached |\n| --- | --- | --- | --- |\n'
for target in "${targets[@]}"; do
    program=$BUILD/tests/fuzz/fuzz_$target
    profile=$BUILD/$target
    LLVM_PROFILE_FILE=$profile.raw "$program" "tests/fuzz/corpus/$target" >"$profile.log" 2>&1 ||
        { tail "$profile.log" >&2 && die "fuzz_$target fails."; }
    "$profdata" merge -o "$profile.profile" "$profile.raw"
    inputs=$(find "tests/fuzz/corpus/$target" -type f | wc -l)
    for file in $(sed -n "1,20s/.*covers: *//p" "tests/fuzz/fuzz_$target.c"); do
        [ -e "$file" ] || die "fuzz_$target covers $file, which is not there."
        read -r reached all < <(lines "$profile.profile" "$program" "$file")
        printf '| %s | %s | %s | %s of %s (%s %%) |\n' "$target" "$inputs" "$file" "$reached" "$all" $((reached * 100 / all))
        target='' inputs=''
    done
done
