import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Banned syntax, each with what to write instead. */
const banned = [
  {
    selector: 'TSEnumDeclaration',
    message: 'No enums: write an `as const` list and derive the union from it.',
  },
  {
    selector: 'ExportDefaultDeclaration',
    message: 'No default exports: a name is the same everywhere it is used.',
  },
  {
    selector: 'ThrowStatement > NewExpression[callee.name="Error"]',
    message:
      'Throw a subclass of StoreError (<folder>.errors.ts), or `assert` for a programmer mistake.',
  },
  {
    selector: 'ExportAllDeclaration',
    message: 'No barrels: import from the file that owns the name.',
  },
];

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', '.gridstow/', '**/*.cjs', '**/*.mjs', 'jest.config.cjs']),
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      'no-restricted-syntax': ['error', ...banned],
      'no-console': 'error',
      eqeqeq: 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { prefer: 'type-imports', fixStyle: 'inline-type-imports' },
      ],
      '@typescript-eslint/return-await': ['error', 'always'],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // Nest declares options as classes and takes literals.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // Nest modules are empty classes with a decorator.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
    },
  },
  {
    files: ['test/**', 'scripts/**', 'bench/**'],
    rules: {
      'no-console': 'off',
      'no-restricted-syntax': ['error', ...banned.slice(0, 2)],
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Answers that came over HTTP are what the test is about: a wrong shape fails its assertion.
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/restrict-plus-operands': 'off',
    },
  },
);
