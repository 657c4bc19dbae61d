#!/bin/sh
curl -fsS "$APP_URL/healthz"
