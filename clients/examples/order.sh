#!/usr/bin/env bash
# An order, and a client assertion. The token is in a file that only this program reads.
set -euo pipefail
url=${CHANCERY_URL:?} wallet=${WALLET:?} client=${CLIENT:?}
order='{"tokenID":"71321045679252212594626385532706912750332728571942532289631379312455583992999",
        "side":"BUY","price":"0.56","size":"21.04","tickSize":"0.01","negRisk":false}'

ask() { # path, idempotency key, body
    curl --silent --show-error --fail-with-body --max-time 10 --retry 3 --retry-connrefused \
        --header "authorization: Bearer $(cat "${CHANCERY_TOKEN_FILE:?}")" \
        --header 'content-type: application/json' --header "idempotency-key: $2" --data "$3" "$url$1"
}

# One key for one order: `--retry` and a second run of this line bring the same order, never another one.
key=$(cat /proc/sys/kernel/random/uuid)
ask "/v1/wallets/$wallet/orders" "$key" "$order"
echo
# Each assertion is used once, and lives a minute: a new key for each.
ask "/v1/clients/$client/assertions" "$(cat /proc/sys/kernel/random/uuid)" '{}'
echo
