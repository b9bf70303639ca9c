import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  GATES,
  eventsRule,
  extensionRule,
  gatesRule,
  knownFoldersRule,
  layersRule,
  pureProtocolRule,
  purePoolRule,
} from './layer-rules.ts';
import { ROOT, loadUnits, parseUnit } from './source-unit.ts';
import type { Rule } from './source-unit.ts';

/** A rule, a file that breaks it with the words of the complaint, and one that keeps it. */
interface Case {
  readonly name: string;
  readonly rule: Rule;
  readonly bad: readonly [file: string, text: string, complaint: RegExp];
  readonly good: readonly [file: string, text: string];
}

const CASES: readonly Case[] = [
  {
    name: 'base imports nothing',
    rule: layersRule,
    bad: ['src/base/a.ts', `import { b } from '../protocol/b.ts';`, /base \(level 0\) may not/],
    good: ['src/base/a.ts', `import { b } from './b.ts';`],
  },
  {
    name: 'protocol imports neither net nor log nor config',
    rule: layersRule,
    bad: ['src/protocol/a.ts', `import type { N } from '../net/n.ts';`, /protocol \(level 1\)/],
    good: ['src/protocol/a.ts', `import { b } from '../base/b.ts';`],
  },
  {
    name: 'protocol imports no platform module',
    rule: pureProtocolRule,
    bad: ['src/protocol/a.ts', `import net from 'node:net';`, /node:buffer alone/],
    good: ['src/protocol/a.ts', `import { Buffer } from 'node:buffer';`],
  },
  {
    name: 'pool imports no connection',
    rule: layersRule,
    bad: ['src/pool/a.ts', `export { s } from '../server/s.ts';`, /pool \(level 2\) may not/],
    good: ['src/pool/a.ts', `import { s } from '../protocol/s.ts';`],
  },
  {
    name: 'pool imports no socket and no timer',
    rule: purePoolRule,
    bad: ['src/pool/a.ts', `import { setTimeout } from 'node:timers/promises';`, /inject a port/],
    good: ['src/net/a.ts', `import net from 'node:net';`],
  },
  {
    name: 'client and server do not know each other',
    rule: layersRule,
    bad: ['src/client/a.ts', `const s = await import('../server/s.ts');`, /client \(level 4\)/],
    good: ['src/client/a.ts', `import type { ServerEnd } from '../relay/ends.ts';`],
  },
  {
    name: 'relay knows interfaces, not connections',
    rule: layersRule,
    bad: ['src/relay/a.ts', `type S = import('../server/s.ts').S;`, /relay \(level 3\) may not/],
    good: ['src/relay/a.ts', `import { p } from '../pool/p.ts';`],
  },
  {
    name: 'nothing imports the composition root',
    rule: layersRule,
    bad: ['src/admin/a.ts', `import { app } from '../app/app.ts';`, /admin \(level 5\) may not/],
    good: ['src/cli.ts', `import { app } from './app/app.ts';`],
  },
  {
    name: 'src imports neither tests nor benchmarks',
    rule: layersRule,
    bad: ['src/app/a.ts', `import { b } from '../../bench/b.ts';`, /nothing from outside/],
    good: ['src/app/a.ts', `import { b } from '../admin/b.ts';`],
  },
  {
    name: 'a package has one importer',
    rule: gatesRule,
    bad: ['src/app/a.ts', `import pino from 'pino';`, /only src\/log\/logger\.ts may/],
    good: ['src/log/logger.ts', `import pino from 'pino';`],
  },
  {
    name: 'a package without a gate is not for src',
    rule: gatesRule,
    bad: ['src/app/a.ts', `import pg from 'pg';`, /pg: not a dependency/],
    good: ['src/protocol/pg-protocol.ts', `import { s } from 'pg-protocol/dist/parser.js';`],
  },
  {
    name: 'event emitters stay in net and app',
    rule: eventsRule,
    bad: ['src/relay/a.ts', `import { EventEmitter } from 'node:events';`, /call a method/],
    good: ['src/net/a.ts', `import { EventEmitter } from 'node:events';`],
  },
  {
    name: 'imports carry their extension',
    rule: extensionRule,
    bad: ['src/pool/a.ts', `import { b } from './b.js';`, /with its \.ts extension/],
    good: ['src/pool/a.ts', `import { b } from './b.ts';`],
  },
  {
    name: 'every folder has a level',
    rule: knownFoldersRule,
    bad: ['src/utils/a.ts', '', /utils has no level/],
    good: ['src/pool/a.ts', ''],
  },
];

const units = loadUnits('src');

describe.each(CASES)('$name', ({ rule, bad, good }) => {
  it('finds a planted violation', () => {
    const [file, text, complaint] = bad;
    const found = rule([parseUnit(file, text)]);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(complaint);
  });

  it('lets the rightful neighbour pass', () => {
    const [file, text] = good;
    expect(rule([parseUnit(file, text)])).toEqual([]);
  });

  it('holds in src', () => {
    expect(rule(units)).toEqual([]);
  });
});

describe('dependencies', () => {
  it('are the packages that have a gate, no more and no fewer', () => {
    const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
      optionalDependencies: Record<string, string>;
    };
    const names = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
    expect(names.sort()).toEqual([...GATES.keys()].sort());
  });

  it('are looked for in files that are there', () => {
    expect(units.length).toBeGreaterThan(0);
  });
});
