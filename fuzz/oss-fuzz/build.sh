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

release=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp "$release/$target" "$OUT/"
    cp fuzz/http.dict "$OUT/$target.dict"
    rm -f "$OUT/${target}_seed_corpus.zip"
    find "fuzz/corpus/$target" -name 'seed-*' | LC_ALL=C sort | zip -q -j "$OUT/${target}_seed_corpus.zip" -@
    longest=2048
    case $target in
    pair) longest=160 ;;
    server_ops | client_ops | split) longest=720 ;;
    esac
    printf '[libfuzzer]\nmax_len = %d\n' "$longest" > "$OUT/$target.options"
done
