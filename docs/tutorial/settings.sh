# Settings of the tutorial. Load them in every terminal, in the root of the checkout:
#   . docs/tutorial/settings.sh
# A variable that is already set keeps its value.

set -a # export what is assigned from here on

PATH=$PWD/.venv/bin:$PATH # so that the shell finds rs-order and its Python

# The two servers.
: "${RS_ORDER_DATABASE_URL:=postgresql://postgres:tutorial@127.0.0.1:5432/postgres}"
: "${RS_ORDER_AMQP_URL:=amqp://rs_order:rs_order@127.0.0.1:5672}"
: "${RS_ORDER_AMQP_MANAGEMENT_URL:=http://rs_order:rs_order@127.0.0.1:15672}"
: "${RS_ORDER_AMQP_VHOST:=regards.multitenant.manager}"

# rs_order itself: its REST port, its project (also called tenant), and its keys.
: "${RS_ORDER_HTTP_PORT:=9043}"
: "${RS_ORDER_TENANTS:=demo}"
# The sandbox signs its tokens with the public development key. Never accept that key elsewhere.
: "${RS_ORDER_JWT_KEY_HS512:=!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!}"
: "${RS_ORDER_ORDER_SECRET:=only-for-the-tutorial-0123456789abcdef}"

# Web pages may have their token in the address of a stream of events, as behind the gateway.
: "${RS_ORDER_TOKEN_IN_QUERY:=true}"

# Webhooks may be on this computer, without HTTPS. The key encrypts their secrets; it is public, so use it here only.
: "${RS_ORDER_EVENTS_KEY:=b25seS1mb3ItdGhlLXR1dG9yaWFsLTAxMjM0NTY3ODk=}"
: "${WEBHOOK_PORT:=9200}"
RS_ORDER_WEBHOOK_HTTP=true
RS_ORDER_WEBHOOK_ALLOWED_NETWORKS=127.0.0.0/8

# The sandbox plays the other services of the platform, all on one port.
: "${SANDBOX_PORT:=9100}"
RS_ORDER_EXTERNAL_ALLOWED_NETWORKS=127.0.0.0/8 # it offers external files on this computer
RS_ORDER_CATALOG_URL=http://127.0.0.1:$SANDBOX_PORT/rs-catalog
RS_ORDER_STORAGE_URL=http://127.0.0.1:$SANDBOX_PORT/rs-storage
RS_ORDER_DAM_URL=http://127.0.0.1:$SANDBOX_PORT/rs-dam
RS_ORDER_PROCESSING_URL=http://127.0.0.1:$SANDBOX_PORT/rs-processing
RS_ORDER_ADMIN_URL=http://127.0.0.1:$SANDBOX_PORT/rs-admin
RS_ORDER_ADMIN_INSTANCE_URL=http://127.0.0.1:$SANDBOX_PORT/rs-admin-instance

RS_ORDER_CATALOG_STAC_URL=http://127.0.0.1:$SANDBOX_PORT/rs-catalog/stac
RS_ORDER_TOKEN_URL=http://127.0.0.1:$SANDBOX_PORT/rs-authentication/oauth/token

# Where the examples call rs_order, and where they put what they download.
: "${ORDER_API:=http://127.0.0.1:$RS_ORDER_HTTP_PORT/api/v1/rs-order}"
: "${DOWNLOADS:=downloads}"

# eodag has an environment and a home of its own.
: "${EODAG_PYTHON:=$PWD/.venv-eodag/bin/python}"
: "${EODAG_HOME:=$PWD/$DOWNLOADS/eodag}"
: "${EODAG_EXT_COLLECTIONS_CFG_FILE:=}" # don't fetch lists of other archives

set +a
