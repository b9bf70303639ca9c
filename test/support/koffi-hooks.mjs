import Module from 'node:module';

/**
 * Loaded into a pooler before its own code, by `--import`: changes what the package koffi gives it.
 *
 * - `TEST_KOFFI=absent`: the package is not installed.
 * - `TEST_SYSLOG=path`: what goes to /dev/log goes to that socket.
 * - `TEST_PAM_SERVICE=name`: PAM applies the rules of that service for those of `pgbouncer`.
 */

const { TEST_KOFFI, TEST_SYSLOG, TEST_PAM_SERVICE } = process.env;
const load = Module._load;

Module._load = function hooked(request, ...rest) {
  if (request !== 'koffi') {
    return load.call(this, request, ...rest);
  }
  if (TEST_KOFFI === 'absent') {
    throw Object.assign(new Error("Cannot find module 'koffi'"), { code: 'MODULE_NOT_FOUND' });
  }
  const koffi = load.call(this, request, ...rest);
  return { ...koffi, load: (file) => hookLibrary(koffi.load(file)) };
};

function hookLibrary(library) {
  return {
    func: (...definition) => {
      const original = library.func(...definition);
      const [name] = definition;
      if (TEST_SYSLOG !== undefined && name.startsWith('int connect(')) {
        return (fd, address) => {
          const isSyslog = address.toString('utf8', 2) === '/dev/log';
          const used = isSyslog
            ? Buffer.concat([address.subarray(0, 2), Buffer.from(TEST_SYSLOG)])
            : address;
          return original(fd, used, used.length);
        };
      }
      if (TEST_PAM_SERVICE !== undefined && name === 'pam_start') {
        return (service, ...others) =>
          original(service === 'pgbouncer' ? TEST_PAM_SERVICE : service, ...others);
      }
      return original;
    },
  };
}
