import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** Root of the project. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** One parsed source file. */
export interface SourceUnit {
  /** Path from the root of the project, with slashes: `src/pool/pool.ts`. */
  readonly path: string;
  readonly ast: ts.SourceFile;
}

/** A broken rule, in words an author can act on. */
export type Violation = string;

/** Looks at all files of `src/`. */
export type Rule = (units: readonly SourceUnit[]) => Violation[];

/** A module that a file refers to, in whatever way. */
export interface ImportReference {
  readonly specifier: string;
  readonly line: number;
}

/** Parses text as the file `filePath`. */
export function parseUnit(filePath: string, text: string): SourceUnit {
  return {
    path: filePath,
    ast: ts.createSourceFile(filePath, text, ts.ScriptTarget.ES2023, true),
  };
}

/** Parses every TypeScript file below a folder. */
export function loadUnits(folder: string): SourceUnit[] {
  return projectFiles()
    .filter((file) => file.startsWith(`${folder}/`) && file.endsWith('.ts'))
    .map((file) => parseUnit(file, fs.readFileSync(path.join(ROOT, file), 'utf8')));
}

/** The files that belong to the project: those git knows or would add. */
export function projectFiles(): string[] {
  return listFiles().filter((file) => fs.existsSync(path.join(ROOT, file)));
}

function listFiles(): string[] {
  try {
    const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
    const output = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' });
    return [...new Set(output.split('\0').filter((file) => file !== ''))].sort();
  } catch {
    // No git here, or no repository: an unpacked archive.
    return walk('');
  }
}

function walk(folder: string): string[] {
  const skipped = new Set(['node_modules', 'dist', 'coverage', '.git']);
  return fs
    .readdirSync(path.join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => !skipped.has(entry.name))
    .flatMap((entry) => {
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
      return entry.isDirectory() ? walk(name) : [name];
    })
    .sort();
}

/** Calls `visit` for a node and everything below it. */
export function walkTree(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => {
    walkTree(child, visit);
  });
}

/** The line of a node, counted from 1. */
export function lineOf(unit: SourceUnit, node: ts.Node): number {
  return unit.ast.getLineAndCharacterOfPosition(node.getStart(unit.ast)).line + 1;
}

/** Names a place as editors understand it. */
export function placeOf(unit: SourceUnit, node: ts.Node): string {
  return `${unit.path}:${String(lineOf(unit, node))}`;
}

/** Finds static, dynamic and type imports, re-exports and `require`. */
export function importsOf(unit: SourceUnit): ImportReference[] {
  const found: ImportReference[] = [];
  walkTree(unit.ast, (node) => {
    const specifier = specifierOf(node);
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) {
      found.push({ specifier: specifier.text, line: lineOf(unit, specifier) });
    }
  });
  return found;
}

function specifierOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    return node.moduleSpecifier;
  }
  if (ts.isImportTypeNode(node)) {
    return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  }
  if (ts.isCallExpression(node)) {
    const callee = node.expression;
    const isImport = callee.kind === ts.SyntaxKind.ImportKeyword;
    const isRequire = ts.isIdentifier(callee) && callee.text === 'require';
    return isImport || isRequire ? node.arguments[0] : undefined;
  }
  return undefined;
}

/** The file a relative import means, from the root of the project; `null` for a package. */
export function resolveImport(unit: SourceUnit, specifier: string): string | null {
  return specifier.startsWith('.')
    ? path.posix.normalize(path.posix.join(path.posix.dirname(unit.path), specifier))
    : null;
}
