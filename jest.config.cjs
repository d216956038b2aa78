/** swc compiles but checks no types: `tsc --noEmit` in `npm run check` covers test/ too. */
const transform = {
  '^.+\\.[tj]s$': [
    '@swc/jest',
    {
      jsc: {
        target: 'es2023',
        parser: { syntax: 'typescript', decorators: true },
        // Nest's injection reads the metadata that these two emit.
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
      module: { type: 'commonjs' },
    },
  ],
};

const base = {
  testEnvironment: 'node',
  transform,
  // NestJS 12 ships ES modules only, so Jest has to compile it; so has the one file in which the
  // MongoDB driver calls import(), whose failure the driver would hide behind an odd handshake.
  transformIgnorePatterns: ['/node_modules/(?!(@nestjs/|hyparquet|mongodb/lib/runtime_adapters))'],
  moduleFileExtensions: ['ts', 'js', 'json'],
};

module.exports = {
  // A bound on hangs, not on speed: machines that also do other work take their time.
  testTimeout: 180_000,
  maxWorkers: 2,
  projects: [
    { ...base, displayName: 'unit', testMatch: ['<rootDir>/test/unit/**/*.test.ts'] },
    {
      ...base,
      displayName: 'service',
      testMatch: ['<rootDir>/test/{integration,contract,e2e}/**/*.test.ts'],
      globalSetup: '<rootDir>/test/support/global-setup.ts',
      globalTeardown: '<rootDir>/test/support/global-teardown.ts',
    },
  ],
};
