import type { Violation } from './source-unit.ts';

/** A text file of the project. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** Directories of one machine or one person. */
const MACHINE_PATH = /(?:^|[\s"'`(=:[])(\/(?:home|Users|root|work|workspace)\/[\w.-]+)/;

/** A package registry or a mirror of one, in a URL. */
const REGISTRY_URL = /https?:\/\/[^\s/"'`]*(?:registry|artifactory|nexus|verdaccio)[^\s"'`]*/i;

/** A registry or its credentials in npm's configuration. */
const REGISTRY_SETTING = /^\s*(?:@[\w-]+:)?registry\s*=|_auth(?:Token)?\s*=/im;

/** Finds places and hosts that mean nothing on another machine. */
export function machineTraces(files: readonly TextFile[]): Violation[] {
  return files.flatMap(({ path, text }) => {
    const found = [MACHINE_PATH.exec(text)?.[1], REGISTRY_URL.exec(text)?.[0]];
    if (path.endsWith('.npmrc')) {
      found.push(REGISTRY_SETTING.exec(text)?.[0]);
    }
    return found
      .filter((match) => match !== undefined)
      .map((match) => `${path} names ${match.trim()}: it means nothing on another machine`);
  });
}

/** Finds packages that a lockfile ties to the host it was written with. */
export function resolvedHosts(lockfile: unknown): Violation[] {
  return lockedPackages(lockfile)
    .filter(([, entry]) => 'resolved' in entry)
    .map(([name]) => `${name} has "resolved": npm must ask the registry of whoever installs`);
}

/** Finds packages whose content a lockfile does not pin. */
export function missingIntegrity(lockfile: unknown): Violation[] {
  return lockedPackages(lockfile)
    .filter(([name, entry]) => name !== '' && !('integrity' in entry) && !('link' in entry))
    .filter(([, entry]) => !('inBundle' in entry))
    .map(([name]) => `${name} has no "integrity"`);
}

function lockedPackages(lockfile: unknown): [string, object][] {
  if (typeof lockfile !== 'object' || lockfile === null || !('packages' in lockfile)) {
    throw new Error('not a lockfile of npm 7 or newer');
  }
  return Object.entries(lockfile.packages as Record<string, object>);
}

/** Finds dependencies that are not exact versions. */
export function looseVersions(manifest: unknown): Violation[] {
  if (typeof manifest !== 'object' || manifest === null) {
    throw new Error('not a package.json');
  }
  const sections = manifest as Record<string, Record<string, string> | undefined>;
  return ['dependencies', 'devDependencies', 'optionalDependencies']
    .flatMap((section) => Object.entries(sections[section] ?? {}))
    .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
    .map(([name, version]) => `${name}@${version} is not an exact version`);
}
