#!/bin/bash
# Trains configurations one after the other, for so many seconds together, on a machine that is lent for a short time.
#
#   bash configs/campaign.sh SECONDS DEVICE PARCEL RESULTS CONFIG...
#
# PARCEL: a folder with tiles.tar (benchmarks/training_tiles.py), wheels to unpack in whl/, if any, and in runs/ what
# came back from an earlier machine: then training goes on from there. RESULTS: gets checkpoint.pt, metrics.jsonl and,
# of a run that is through, its packages, in a folder for each run. Same call again: it goes on.
set -u
began=$SECONDS
total=$1 device=$2 parcel=$3 results=$4
shift 4
: "${PYTHON:=python3}" "${WORKERS:=$(nproc)}"
spare=40 # seconds to make a package, once a run is through: `train` without a limit makes it anywhere, later

scratch=runs/campaign
site=$PWD/$scratch/site
for wheel in "$parcel"/whl/*; do # unpacked, not installed: they may lack what is not used here
    [ ! -f "$wheel" ] || $PYTHON -m zipfile -e "$wheel" "$site" || exit 1
done
export PYTHONPATH=$PWD:$site PYTHONUNBUFFERED=1
mkdir -p $scratch/data "$results"
tar -xf "$parcel/tiles.tar" -C $scratch/data || exit 1

keep() {
    for folder in "$scratch"/*/; do
        name=$(basename "$folder")
        [ -f "$folder/checkpoint.pt" ] || continue
        mkdir -p "$results/$name"
        for file in "$folder"/checkpoint.pt "$folder"/metrics.jsonl "$folder"/*.safetensors; do
            # downsampler.safetensors is the handover to those who make crops: the checkpoint has it too.
            [ -f "$file" ] && [ "$(basename "$file")" != downsampler.safetensors ] && cp "$file" "$results/$name/"
        done
    done
}
trap keep EXIT

for config in "$@"; do
    name=$(basename "$config" .toml)
    left=$((total - (SECONDS - began)))
    [ $left -gt 30 ] || exit 75
    if [ ! -d "$scratch/$name" ] && [ -d "$parcel/runs/$name" ]; then
        cp -r "$parcel/runs/$name" "$scratch/$name"
    fi
    timeout --signal=INT $((left + spare)) $PYTHON -m histocodec train "$config" --data $scratch/data \
        --run "$scratch/$name" --device "$device" --workers "$WORKERS" --seconds $left --overwrite
    code=$?
    echo "$name: exit code $code after $((SECONDS - began)) s"
    [ $code = 0 ] || exit $code
done
