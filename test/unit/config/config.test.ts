import { readConfig } from '../../../src/config/config';

describe('readConfig', () => {
  it('has a default for everything', () => {
    expect(readConfig({})).toMatchObject({
      port: 8501,
      host: '127.0.0.1',
      allowAnonymous: false,
      mongodb: { uri: undefined, db: 'gridstow', binary: undefined },
      engine: 'auto',
      recording: 'durable',
      maxUploadBytes: 4096 * 1024 * 1024,
      maxBodyBytes: 32 * 1024 * 1024,
      predictTimeoutMs: 30_000,
      openTimeoutMs: 20_000,
      sendTimeoutMs: 60_000,
      defaultModel: undefined,
      logLevel: 'info',
    });
    expect(readConfig({}).dataDir).toMatch(/\.gridstow$/);
  });

  it('takes an empty variable as unset', () => {
    expect(readConfig({ PORT: '', MONGODB_URI: ' ' })).toMatchObject({
      port: 8501,
      mongodb: { uri: undefined },
    });
  });

  it.each([
    ['PORT', 'abc', /PORT=abc must be a whole number from 0 to 65535/],
    ['PORT', '70000', /PORT=70000 must be/],
    ['PORT', '-1', /PORT=-1 must be/],
    ['GRIDSTOW_ENGINE', 'gpu', /GRIDSTOW_ENGINE=gpu must be one of auto, onnx, wasm, node, cpu/],
    ['GRIDSTOW_EXECUTORS', '0', /GRIDSTOW_EXECUTORS=0 must be/],
    ['GRIDSTOW_RECORDING', 'maybe', /GRIDSTOW_RECORDING=maybe must be one of durable, queued, off/],
    ['GRIDSTOW_ALLOW_ANONYMOUS', 'yes', /GRIDSTOW_ALLOW_ANONYMOUS=yes must be true or false/],
    ['GRIDSTOW_DB', 'a/b', /GRIDSTOW_DB=a\/b must be/],
    ['GRIDSTOW_DEFAULT_MODEL', '../x', /GRIDSTOW_DEFAULT_MODEL=\.\.\/x must be a model name/],
    ['LOG_LEVEL', 'loud', /LOG_LEVEL=loud must be one of/],
    ['GRIDSTOW_MAX_BODY_MB', '1e9', /GRIDSTOW_MAX_BODY_MB=1e9 must be/],
  ])('refuses %s=%s, naming variable, value and what is allowed', (name, value, message) => {
    expect(() => readConfig({ [name]: value })).toThrow(message);
  });

  it('never shows a connection string that it refuses: it may hold a password', () => {
    const attempt = () => readConfig({ MONGODB_URI: 'postgres://u:secret@h' });

    expect(attempt).toThrow(/MONGODB_URI must start with mongodb:\/\//);
    expect(attempt).not.toThrow(/secret/);
  });

  it.each(['0.0.0.0', '192.168.1.5', '::', 'example.org'])(
    'refuses to open %s without keys unless anonymous access is allowed',
    (host) => {
      expect(() => readConfig({ HOST: host })).toThrow(/GRIDSTOW_ALLOW_ANONYMOUS=true/);
      expect(readConfig({ HOST: host, GRIDSTOW_ALLOW_ANONYMOUS: 'true' }).host).toBe(host);
    },
  );

  it.each(['localhost', '127.0.0.1', '127.1.2.3', '::1'])('takes %s as this machine', (host) => {
    expect(readConfig({ HOST: host }).host).toBe(host);
  });
});
