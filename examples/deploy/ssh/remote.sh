# Sourced by the others: `remote COMMAND` runs a command on the server, and believes no server but the one that KNOWN_HOST names.
umask 077
key="$HOME/ssh-key" known="$HOME/known-hosts"
printf '%s\n' "$SSH_KEY" >"$key"
printf '%s\n' "$KNOWN_HOST" >"$known"
remote() {
	ssh -T -F none -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$known" \
		-o IdentitiesOnly=yes -i "$key" -p "$SSH_PORT" "$SSH_USER@$HOST" "$1"
}
