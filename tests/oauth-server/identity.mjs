// A local identity provider for testing sign-in: oidc-provider does the work (the code flow, PKCE, codes that are good
// once); whoever signs in is the account that was set last. A proxy before its token endpoint changes what an ID token
// says, where the tests ask for that.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';
import { SignJWT, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair } from 'jose';

// Nobody reads what is said after the first line.
process.stdout.on('error', () => {});

const [redirectUri] = process.argv.slice(2);
const CLIENT = { client_id: 'chancery-console', client_secret: 'a secret of the tests', redirect_uris: [redirectUri] };
const asked = { account: 'ann', claims: {}, forged: false };

let handle;
const server = createServer((req, res) => handle(req, res));
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const issuer = `http://127.0.0.1:${server.address().port}`;

const made = await generateKeyPair('RS256', { extractable: true });
const other = await generateKeyPair('RS256', { extractable: true });
const jwk = { ...await exportJWK(made.privateKey), alg: 'RS256', use: 'sig', kid: 'id-1' };

const provider = new Provider(issuer, {
  clients: [{ ...CLIENT, grant_types: ['authorization_code'], response_types: ['code'], token_endpoint_auth_method: 'client_secret_basic' }],
  jwks: { keys: [jwk] },
  pkce: { required: () => true },
  cookies: { keys: ['a key of the tests'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  loadExistingGrant: async (ctx) => {
    const { client, session } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
});
provider.on('server_error', (ctx, err) => console.error('server_error', err));
const oidc = provider.callback();

const changed = async (token) => {
  const claims = { ...decodeJwt(token), ...asked.claims };
  for (const [name, value] of Object.entries(claims)) if (value === null) delete claims[name];
  const key = asked.forged ? other.privateKey : made.privateKey;
  return new SignJWT(claims).setProtectedHeader(decodeProtectedHeader(token)).sign(key);
};

handle = async (req, res) => {
  const { pathname } = new URL(req.url, issuer);
  if (pathname === '/_admin') {
    let text = '';
    for await (const chunk of req) text += chunk;
    Object.assign(asked, { claims: {}, forged: false }, JSON.parse(text));
    res.end('{}');
    return;
  }
  if (pathname.startsWith('/interaction/')) {
    await provider.interactionFinished(req, res, { login: { accountId: asked.account } }, { mergeWithLastSubmission: false });
    return;
  }
  if (pathname === '/token') {
    const end = res.end.bind(res);
    res.end = async (body) => {
      const said = JSON.parse(body);
      if (said.id_token) said.id_token = await changed(said.id_token);
      const text = JSON.stringify(said);
      res.setHeader('content-length', Buffer.byteLength(text));
      end(text);
    };
  }
  oidc(req, res);
};

console.log(JSON.stringify({ ready: true, issuer }));
