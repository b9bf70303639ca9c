import js from '@eslint/js';
import jsdoc from 'eslint-plugin-jsdoc';
import tsdoc from 'eslint-plugin-tsdoc';
import tseslint from 'typescript-eslint';

/** Places whose buffers are checked for length before they are indexed. */
const INDEXED_BYTES = ['src/protocol/**/*.ts', 'src/base/**/*.ts', 'src/relay/**/*.ts'];

/** Synchronous from a socket's read to its peer's write: a promise per message costs too much. */
const SYNCHRONOUS = ['src/protocol/**/*.ts', 'src/pool/**/*.ts', 'src/relay/**/*.ts'];

/** The only places that may touch time, chance, the environment and the console themselves. */
const AMBIENT = ['src/base/clock.ts', 'src/app/**/*.ts', 'src/cli.ts'];

const BANNED_EXPORTS = [
  {
    selector: 'ExportDefaultDeclaration',
    message: 'Export by name, so that one word finds every use.',
  },
  {
    selector: 'ExportAllDeclaration',
    message: 'Name what is exported; `export *` hides where things come from.',
  },
];

const BANNED_ASYNC = [
  {
    selector: ':function[async=true]',
    message: 'No async function here: record the fact and call pump() instead.',
  },
  { selector: 'AwaitExpression', message: 'No await between a read and the write of its peer.' },
  { selector: 'ForOfStatement[await=true]', message: 'No async iteration on the byte path.' },
];

const BANNED_PROPERTIES = [
  { object: 'Date', property: 'now', message: 'Take the time from an injected Clock.' },
  { object: 'performance', property: 'now', message: 'Take the time from an injected Clock.' },
  { object: 'Math', property: 'random', message: 'Take chance from an injected source.' },
  { object: 'process', property: 'env', message: 'Settings come from config/.' },
];

const BANNED_GLOBALS = ['setTimeout', 'setInterval'].map((name) => ({
  name,
  message: 'Timeouts are decided in the tick; inject a timer if one is needed.',
}));

const TYPED_RULES = {
  curly: ['error', 'all'],
  eqeqeq: ['error', 'always'],
  'max-depth': ['error', 4],
  'max-params': ['error', 5],
  'no-console': 'error',
  'no-param-reassign': ['error', { props: false }],
  '@typescript-eslint/ban-ts-comment': [
    'error',
    { 'ts-expect-error': 'allow-with-description', minimumDescriptionLength: 10 },
  ],
  '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
  '@typescript-eslint/explicit-module-boundary-types': 'error',
  '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
  '@typescript-eslint/no-floating-promises': 'error',
  '@typescript-eslint/no-misused-promises': 'error',
  // `for (;;)` and `while (true)` say what they mean.
  '@typescript-eslint/no-unnecessary-condition': [
    'error',
    { allowConstantLoopConditions: 'always' },
  ],
  '@typescript-eslint/no-unused-vars': [
    'error',
    { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
  ],
  '@typescript-eslint/prefer-nullish-coalescing': [
    'error',
    { ignorePrimitives: { string: true, boolean: true, number: true, bigint: true } },
  ],
  '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
  '@typescript-eslint/switch-exhaustiveness-check': [
    'error',
    { considerDefaultExhaustiveForUnions: true },
  ],
  // An interface of functions and a `type` of them are both used, each where it reads better.
  '@typescript-eslint/consistent-type-definitions': 'off',
  // A mapped type names its keys: `{ readonly [S in ServerState]: ... }`.
  '@typescript-eslint/consistent-indexed-object-style': 'off',
};

const PUBLIC_METHOD =
  "MethodDefinition[kind='method']:not([accessibility='private']):not([key.type='PrivateIdentifier'])";

const DOC_RULES = {
  'tsdoc/syntax': 'error',
  'jsdoc/require-jsdoc': [
    'error',
    {
      publicOnly: true,
      require: {
        ArrowFunctionExpression: true,
        ClassDeclaration: true,
        FunctionDeclaration: true,
        FunctionExpression: true,
        MethodDefinition: false,
      },
      contexts: [
        'TSInterfaceDeclaration',
        // A type alias may share the comment of the constant it is derived from: test/tidy looks.
        'ExportNamedDeclaration > VariableDeclaration',
        // The methods of an interface are described where it is declared, once.
        `ClassDeclaration:not([implements.length>0]) > ClassBody > ${PUBLIC_METHOD} > FunctionExpression`,
      ],
      checkConstructors: false,
      checkGetters: false,
    },
  ],
};

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', 'bench/results/', 'node_modules/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.{ts,mts}'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: TYPED_RULES,
  },
  {
    files: ['src/**/*.ts'],
    plugins: { jsdoc, tsdoc },
    rules: {
      ...DOC_RULES,
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'no-restricted-syntax': ['error', ...BANNED_EXPORTS],
    },
  },
  {
    files: SYNCHRONOUS,
    rules: { 'no-restricted-syntax': ['error', ...BANNED_EXPORTS, ...BANNED_ASYNC] },
  },
  {
    files: ['src/**/*.ts'],
    ignores: AMBIENT,
    rules: {
      'no-restricted-properties': ['error', ...BANNED_PROPERTIES],
      'no-restricted-globals': ['error', ...BANNED_GLOBALS],
    },
  },
  { files: ['src/app/**/*.ts', 'src/cli.ts'], rules: { 'no-console': 'off' } },
  {
    files: INDEXED_BYTES,
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Test doubles of asynchronous interfaces often have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // A mock's method is named, not called.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-empty-function': 'off',
    },
  },
  {
    files: ['**/*.{js,mjs}'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        Buffer: 'readonly',
        URL: 'readonly',
        clearInterval: 'readonly',
        clearTimeout: 'readonly',
        console: 'readonly',
        fetch: 'readonly',
        performance: 'readonly',
        process: 'readonly',
        setImmediate: 'readonly',
        setInterval: 'readonly',
        setTimeout: 'readonly',
        AbortController: 'readonly',
        AbortSignal: 'readonly',
      },
    },
    rules: {
      curly: ['error', 'all'],
      eqeqeq: ['error', 'always'],
      'max-depth': ['error', 4],
      'no-param-reassign': ['error', { props: false }],
    },
  },
);
