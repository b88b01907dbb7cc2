#!/usr/bin/env bash
# Order files with curl, as a person with a terminal would: basket, order, zip, metalink, one file.
# usage: order_with_curl.sh EMAIL FOLDER    (FOLDER gets the downloads)
# Needs curl and jq. Load the settings first: . docs/tutorial/settings.sh
set -euo pipefail
email=$1 folder=$2
here=$(dirname "${BASH_SOURCE[0]}")
mkdir -p "$folder"

echo '1. Get a token'
# It says who you are, and in which project. On a real platform, you get it when you log in.
token=$(python "$here/sandbox_token.py" "$email")

# Call rs_order: api PATH [options of curl]. An HTTP error ends this script.
api() {
    curl --silent --show-error --fail-with-body \
        --header "Authorization: Bearer $token" --header 'Accept: application/json' \
        "$ORDER_API$1" "${@:2}"
}

# The same with a JSON body: send_json METHOD PATH BODY [options of curl]
send_json() { api "$2" --request "$1" --header 'Content-Type: application/json' --data "$3" "${@:4}"; }

echo '2. Fill the basket'
# Each user has one basket, and an order takes everything in it. So empty it first.
api /order/basket --request DELETE
basket=$(send_json POST /order/basket/selection \
    '{"engineType": "legacy", "searchParameters": {"q": ["productId:(EVE_01 OR EVE_02)"]}}')
jq --raw-output '.content.datasetSelections[]
    | "   \(.datasetLabel): \(.objectsCount) products, \(.filesCount) files, \(.filesSize) bytes"' <<<"$basket"

echo '3. Order what is in the basket'
# With a key of its own, the request may be sent again if the answer doesn't arrive: there is one order.
key=$(python -c 'import uuid; print(uuid.uuid4())')
order=$(send_json POST /user/orders '{}' --header "Idempotency-Key: $key" --retry 3 | jq .content.id)
echo "   order $order"

echo '4. Wait until the order has ended'
# Ask again from time to time. Two seconds suit the sandbox. Files on real tapes take minutes or hours:
# ask every minute, or hear of it (docs/tutorial/events.md).
status=PENDING
while [ "$status" = PENDING ] || [ "$status" = RUNNING ]; do
    sleep 2
    content=$(api "/user/orders/$order" | jq .content)
    status=$(jq --raw-output .status <<<"$content")
    jq --raw-output '"   \(.status), \(.percentCompleted) %, \(.availableFilesCount) files to download"' <<<"$content"
done

echo '5. Look at the files'
# Before the download: this list leaves out what you have downloaded already.
files=$(api "/orders/$order/files/available" | jq '[.content[].content]')
jq --raw-output '.[] | "   file \(.id): \(.filename), MD5 \(.checksum)"' <<<"$files"

echo '6. Download all files in one zip'
api "/user/orders/$order/download" --output "$folder/order.zip"
python -m zipfile --list "$folder/order.zip"

echo '7. Download the metalink'
# A list of links for download tools. It holds a token for these files: who has it can download them.
api "/user/orders/$order/metalink/download" --output "$folder/order.metalink"
echo "   with $(grep --count '<url' "$folder/order.metalink") links"

echo '8. Download a single file again, and check it'
name=$(jq --raw-output '.[0].filename' <<<"$files")
api "/orders/files/$(jq '.[0].id' <<<"$files")" --output "$folder/$name"
(cd "$folder" && jq --raw-output '.[0] | "\(.checksum)  \(.filename)"' <<<"$files" | md5sum --check -)
