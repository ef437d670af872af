// A provider of OpenID Connect with clients that are people: each gets tokens by its own credentials.
// Usage: node provider.mjs PACKAGES PORT CERTIFICATE KEY
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { pathToFileURL } from 'node:url';

const [packages, port, certificate, key] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${packages}/node_modules/oidc-provider/lib/index.js`));

const jwk = (kind, options, alg) => {
  const { privateKey } = generateKeyPairSync(kind, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg };
};

// Every start has keys of its own.
const jwks = { keys: [
  jwk('rsa', { modulusLength: 2048 }, 'RS256'),
  jwk('rsa', { modulusLength: 2048 }, 'PS256'),
  jwk('ec', { namedCurve: 'P-256' }, 'ES256'),
  jwk('ed25519', {}, 'EdDSA'),
] };

const person = (id) => ({
  client_id: id, client_secret: 'secret', redirect_uris: [], response_types: [], grant_types: ['client_credentials'],
  token_endpoint_auth_method: 'client_secret_post',
});

// urn:<what>:<how>[:expired], such as urn:mail:RS256, urn:mail:opaque or urn:other:RS256. Clocks are allowed to be half a minute apart,
// so what is expired was so a minute ago.
const resource = (urn) => {
  const [, audience, how, expired] = urn.split(':');
  const common = { scope: 'mail read', audience, accessTokenTTL: expired ? -60 : 3600 };
  if (how === 'opaque') return { ...common, accessTokenFormat: 'opaque' };
  return { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg: how } } };
};

const provider = new Provider(`https://localhost:${port}`, {
  jwks,
  clients: [
    person('ann'), person('nobody'),
    { ...person('postern'), token_endpoint_auth_method: 'client_secret_basic' },
  ],
  scopes: ['mail', 'read'],
  enabledJWA: { clientAuthSigningAlgValues: ['RS256'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:mail:RS256',
      useGrantedResource: () => true,
      getResourceServerInfo: (_, urn) => resource(urn),
    },
  },
  extraTokenClaims: (_, token) => (token.clientId === 'ann' ? { email: 'ann@example.test', email_verified: true } : {}),
});

createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, provider.callback()).listen(Number(port), '127.0.0.1');
