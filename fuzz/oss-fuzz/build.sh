#!/bin/bash -eu
# Builds every target into $OUT, with the dictionary and the seeds of each: what OSS-Fuzz runs in its
# image, where `cargo fuzz` has its compiler and flags from the environment. Elsewhere the same with
#
#     SRC=. OUT=/some/directory bash fuzz/oss-fuzz/build.sh
#
# from the root of the repository; CARGO_FUZZ_ARGS adds options, `-s none` for instance.

cd "$SRC/keepalive" 2> /dev/null || cd "$SRC"

# shellcheck disable=SC2086 # options are words
cargo fuzz build -O --debug-assertions ${CARGO_FUZZ_ARGS-}

# shellcheck source=fuzz/longest
. fuzz/longest
release=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp "$release/$target" "$OUT/"
    cp fuzz/http.dict "$OUT/$target.dict"
    rm -f "$OUT/${target}_seed_corpus.zip"
    find "fuzz/corpus/$target" -name 'seed-*' | LC_ALL=C sort | zip -q -j "$OUT/${target}_seed_corpus.zip" -@
    printf '[libfuzzer]\nmax_len = %d\n' "$(longest "$target")" > "$OUT/$target.options"
done
