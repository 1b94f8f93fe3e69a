// An authorization server for demonstration, beside `chancery dev`: client credentials with private_key_jwt
// (RFC 7523), RS256, each assertion taken once, tokens of 180 s. It needs Node.js 18 and no package, listens
// on this computer only, and grants every client all scopes that it was registered with.
// It is no test double: the tests use oidc-provider (`tests/oauth-server`).
import { createHash, createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto';
import { createServer } from 'node:http';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

const option = (name, or) => {
  const given = process.argv.find((it) => it.startsWith(`--${name}=`));
  return given ? given.slice(name.length + 3) : or;
};
const audience = option('audience', 'https://api.local.example');
const file = option('clients', '');
const TOKEN_S = 180;
const LIFETIME_S = 300;
const SKEW_S = 10;

class Refused extends Error {
  constructor(status, error, description) {
    super(description);
    Object.assign(this, { status, error });
  }
}

// client id → { scopes, keys: [{ kid, pem }] }
const clients = file && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
const keep = () => {
  if (!file) return;
  writeFileSync(`${file}.new`, JSON.stringify(clients, null, 2), { mode: 0o600 });
  renameSync(`${file}.new`, file);
};

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const base64url = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

function thumbprint(key) {
  const { e, kty, n } = key.export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ e, kty, n })).digest('base64url');
}

function readKey(pem) {
  let key;
  try {
    if (/PRIVATE/.test(pem)) throw new Error();
    key = createPublicKey(pem);
  } catch {
    throw new Refused(400, 'invalid_key', 'pem: a public key in PEM is wanted');
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType !== 'rsa' || bits < 2048 || bits > 4096) {
    throw new Refused(400, 'invalid_key', 'pem: RSA of 2048 to 4096 bits is wanted');
  }
  return { kid: thumbprint(key), pem };
}

const spent = new Map(); // jti → its end

// The client, if the assertion is its own, for here, in time, and new.
function authenticate(assertion) {
  const malformed = (why) => new Refused(401, 'invalid_client_assertion', why);
  const parts = String(assertion ?? '').split('.');
  if (parts.length !== 3 || assertion.length > 2048) throw malformed('client_assertion is no JWT of at most 2048 bytes');
  let header;
  let claims;
  try {
    [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8')));
  } catch {
    throw malformed('client_assertion is no JWT');
  }
  if (header.alg !== 'RS256') throw malformed('alg is not RS256');
  const known = Object.hasOwn(clients, claims.iss) ? clients[claims.iss] : undefined;
  const signed = Buffer.from(parts.slice(0, 2).join('.'));
  const fits = ({ kid, pem }) => (header.kid === undefined || header.kid === kid)
    && verify('RSA-SHA256', signed, pem, Buffer.from(parts[2], 'base64url'));
  if (!known?.keys.some(fits)) {
    throw new Refused(401, 'invalid_client', 'no registered key of this client made the signature');
  }
  if (claims.sub !== claims.iss) throw malformed('sub is not iss');
  if (claims.aud !== endpoint) throw malformed(`aud is not ${endpoint}`);
  const { iat, exp, jti } = claims;
  if (![iat, exp].every(Number.isInteger)) throw malformed('iat and exp are whole seconds');
  if (exp <= now()) throw malformed('it has expired');
  if (iat > now() + SKEW_S) throw malformed('iat lies ahead');
  if (exp - iat > LIFETIME_S) throw malformed('it lives longer than 300 s');
  if (typeof jti !== 'string' || !jti || jti.length > 64) throw malformed('jti has 1 to 64 characters');
  for (const [id, end] of spent) if (end < now()) spent.delete(id);
  const id = JSON.stringify([claims.iss, jti]);
  if (spent.has(id)) throw malformed('it was used before');
  spent.set(id, exp);
  return { id: claims.iss, ...known };
}

function token(params) {
  const wrong = (why) => new Refused(400, 'invalid_request', why);
  if (params.grant_type !== 'client_credentials') {
    throw new Refused(400, 'unsupported_grant_type', 'grant_type is not client_credentials');
  }
  if (params.client_assertion_type !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer') {
    throw wrong('client_assertion_type is not that of RFC 7523');
  }
  const client = authenticate(params.client_assertion);
  if (params.client_id !== undefined && params.client_id !== client.id) throw wrong('client_id is not iss');
  if ((params.audience ?? params.resource) !== audience) {
    throw new Refused(403, 'access_denied', `audience is not ${audience}`);
  }
  const asked = params.scope ? params.scope.split(' ') : client.scopes;
  const extra = asked.filter((scope) => !client.scopes.includes(scope));
  if (extra.length) throw new Refused(403, 'access_denied', `not granted: ${extra.join(' ')}`);
  const scope = asked.join(' ');
  const claims = {
    iss: issuer, sub: `${client.id}@clients`, azp: client.id, aud: audience, scope,
    iat: now(), exp: now() + TOKEN_S, jti: randomUUID(), gty: 'client-credentials',
  };
  const input = `${base64url({ alg: 'RS256', typ: 'JWT', kid: 'demo' })}.${base64url(claims)}`;
  const signature = sign('RSA-SHA256', Buffer.from(input), privateKey).toString('base64url');
  return { access_token: `${input}.${signature}`, token_type: 'Bearer', expires_in: TOKEN_S, scope };
}

// What the counterparty's portal would be. A page in a browser cannot send these content types here unasked.
function admin(method, [what, id, sub, kid], body) {
  if (what !== 'clients' || !id) throw new Refused(404, 'not_found', 'clients/ID, clients/ID/keys, clients/ID/keys/KID');
  const client = Object.hasOwn(clients, id) ? clients[id] : undefined;
  const there = () => {
    if (!client) throw new Refused(404, 'not_found', 'no such client');
    return client;
  };
  switch (`${method}${sub ? ' keys' : ''}`) {
    case 'GET': return there();
    case 'PUT': {
      const scopes = body.scopes ?? [];
      if (!Array.isArray(scopes) || !scopes.every((it) => typeof it === 'string')) {
        throw new Refused(400, 'invalid_client', 'scopes: a list of names');
      }
      Object.defineProperty(clients, id, {
        value: { scopes, keys: (body.keys ?? []).map((it) => readKey(it.pem)) },
        enumerable: true, writable: true, configurable: true,
      });
      break;
    }
    case 'POST keys': {
      const key = readKey(body.pem);
      if (there().keys.some((it) => it.kid === key.kid)) throw new Refused(409, 'invalid_key', 'it has this key');
      if (client.keys.length >= 2) throw new Refused(409, 'invalid_key', 'a client has two keys at most: remove one');
      client.keys.push(key);
      break;
    }
    case 'DELETE keys': {
      const left = there().keys.filter((it) => it.kid !== kid);
      if (left.length === client.keys.length) throw new Refused(404, 'not_found', 'no such key');
      client.keys = left;
      break;
    }
    default: throw new Refused(405, 'not_allowed', 'GET or PUT clients/ID, POST or DELETE its keys');
  }
  keep();
  return clients[id];
}

async function read(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 65536) throw new Refused(413, 'invalid_request', 'the body is too large');
  }
  const kind = (request.headers['content-type'] ?? '').split(';')[0].trim();
  if (kind === 'application/x-pem-file') return { kind, body: { pem: text } };
  try {
    if (kind === 'application/x-www-form-urlencoded') return { kind, body: Object.fromEntries(new URLSearchParams(text)) };
    const body = JSON.parse(text || '{}');
    if (body === null || typeof body !== 'object') throw new Error();
    return { kind, body };
  } catch {
    throw new Refused(400, 'invalid_request', 'the body is neither JSON nor a form');
  }
}

async function answer(request) {
  const { pathname } = new URL(request.url, issuer);
  if (pathname === '/.well-known/openid-configuration') {
    return {
      issuer, token_endpoint: endpoint, jwks_uri: `${issuer}.well-known/jwks.json`,
      grant_types_supported: ['client_credentials'], token_endpoint_auth_methods_supported: ['private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: ['RS256'], response_types_supported: [],
    };
  }
  if (pathname === '/.well-known/jwks.json') {
    return { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'demo', alg: 'RS256', use: 'sig' }] };
  }
  const { kind, body } = await read(request);
  if (pathname === '/oauth/token' && request.method === 'POST') return token(body);
  if (pathname.startsWith('/_admin/')) {
    // Whatever name a browser was told for this address, it is not this one.
    if (`http://${request.headers.host}/` !== issuer) throw new Refused(403, 'not_allowed', 'another host was meant');
    if (request.method !== 'GET' && !['application/json', 'application/x-pem-file'].includes(kind)) {
      throw new Refused(415, 'invalid_request', 'send application/json, or a key as application/x-pem-file');
    }
    return admin(request.method, pathname.slice('/_admin/'.length).split('/').map(decodeURIComponent), body);
  }
  throw new Refused(404, 'not_found', 'POST /oauth/token, or /_admin/clients/ID');
}

const server = createServer(async (request, response) => {
  let status = 200;
  let body;
  try {
    body = await answer(request);
  } catch (error) {
    status = error.status ?? 500;
    body = { error: error.error ?? 'server_error', error_description: error.status ? error.message : 'it failed' };
  }
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
});
await new Promise((resolve, reject) => {
  server.once('error', reject).listen(Number(option('port', '9400')), '127.0.0.1', resolve);
});
const issuer = `http://127.0.0.1:${server.address().port}/`;
const endpoint = `${issuer}oauth/token`;
console.log(`authorization-server listening on ${issuer}`);
