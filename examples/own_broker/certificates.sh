#!/bin/sh
# A CA of your own and a certificate of the broker, for trying things out: ./certificates.sh FOLDER [HOST]. In a plant your CA does this.
set -eu
folder=${1:?the folder for the files}; host=${2:-localhost}
mkdir -p "$folder"; cd "$folder"
umask 077
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=IntelliInspect example CA" -keyout ca.key -out ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=$host" -keyout broker.key -out broker.csr 2>/dev/null
printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\n' "$host" > broker.ext
openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile broker.ext -out broker.crt 2>/dev/null
cat broker.key broker.crt ca.pem > broker.pem # one file, as Kafka wants it; the key first, not encrypted
rm -f broker.csr broker.ext broker.key broker.crt ca.srl
