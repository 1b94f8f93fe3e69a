-- What rests sealed names the key it is sealed under, so that another key can take its place while the service runs.

comment on column sealed_keys.sealed is
    '2 || id of the master key (8 bytes) || nonce (12 bytes) || AES-256-GCM of the PKCS#8 DER || tag (16 bytes); associated data: all before the nonce, key_id (16 bytes), algorithm. Older rows begin with the nonce.';

comment on column idempotency_keys.answer is
    'The answer of an administrative write: 2 || id of the service''s sealing key (8 bytes) || nonce || AES-256-GCM || tag. Older rows begin with the nonce.';
-- Administrative answers are few among many keys of orders, and are looked through when their key is replaced.
create index idempotency_keys_with_answer on idempotency_keys (caller_id, key) where answer is not null;
