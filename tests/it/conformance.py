"""Drives a server with the official SDK: each line is one call, and each call is one request."""

import json
import os
import sys

from squarecloud import SquareCloud

base_url, key, app, database, name, version, db_name, db_version, zip_path, into = sys.argv[1:]
client = SquareCloud(key, base_url=base_url, max_retries=0)

client.account.me()
client.account.snapshots(scope='applications')
client.account.snapshots(scope='databases')
client.service.status()
client.apps.get(app)
client.apps.status(app)
client.apps.status(app, raw=True)
client.apps.status_all()
client.apps.status_all(workspace_id='my workspace')
client.databases.get(database)
client.databases.status(database)
client.databases.status(database, raw=True)
client.databases.status_all()
client.apps.restart(app)
client.apps.stop(app)
client.apps.start(app)
client.databases.stop(database)
client.databases.start(database)
client.apps.snapshots.list(app)
client.databases.snapshots.list(database)
made = client.apps.snapshots.create(app)
client.databases.snapshots.create(database)
client.apps.snapshots.restore(app, name, version)
client.databases.snapshots.restore(database, db_name, db_version)
client.apps.commit(app, zip_path)
client.apps.commit(app, zip_path, path='/some dir')
client.apps.create(zip_path)
written = client.download_snapshot(made['url'], into + os.sep)
print(json.dumps({'url': made['url'], 'bytes': os.path.getsize(written)}))
