import { describe, expect, it } from 'vitest';
import { findUser } from '../../../src/app/system-accounts.ts';
import { switchUser } from '../../../src/app/user-switch.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/bash
# a comment
broken:x:abc:1::/:/bin/sh
short:x:7
pooler:x:900:901:Pooler,,,:/var/lib/pooler:/usr/sbin/nologin
`;

const find = (name: string) => findUser(PASSWD, name);

/** The identity of a process that notes what is asked of it. */
function fakeProcess(uid = 0, gid = uid) {
  const state = { uid, gid };
  const calls: string[] = [];
  return {
    state,
    calls,
    getuid: () => state.uid,
    geteuid: () => state.uid,
    getgid: () => state.gid,
    getegid: () => state.gid,
    initgroups: (user: string, group: number) => {
      calls.push(`initgroups ${user} ${String(group)}`);
    },
    setgid: (id: number) => {
      calls.push(`setgid ${String(id)}`);
      state.gid = id;
    },
    setuid: (id: number) => {
      calls.push(`setuid ${String(id)}`);
      state.uid = id;
    },
  };
}

describe('switchUser', () => {
  it('changes the groups before the user, since the right to do so goes with it', () => {
    const identity = fakeProcess();
    switchUser('pooler', identity, find);
    expect(identity.calls).toEqual(['initgroups pooler 901', 'setgid 901', 'setuid 900']);
  });

  it('does nothing without a name, or for the user it is already', () => {
    const identity = fakeProcess(900, 901);
    switchUser('', identity, find);
    switchUser('pooler', identity, find);
    expect(identity.calls).toEqual([]);
  });

  it('changes a group that is not that of the user', () => {
    const identity = fakeProcess(900, 0);
    switchUser('pooler', identity, find);
    expect(identity.state).toEqual({ uid: 900, gid: 901 });
  });

  it.each(['nobody-here', 'broken', 'short', '# a comment', 'pool'])(
    'does not find the user %s',
    (name) => {
      const identity = fakeProcess();
      expect(() => {
        switchUser(name, identity, find);
      }).toThrow(`could not find user '${name}' to switch to`);
      expect(identity.calls).toEqual([]);
    },
  );

  it('tells what the system says when it may not', () => {
    const identity = {
      ...fakeProcess(1000),
      initgroups: () => {
        throw new Error('EPERM, Operation not permitted');
      },
    };
    expect(() => {
      switchUser('pooler', identity, find);
    }).toThrow("failed to assume identity of user 'pooler': Operation not permitted");
  });

  it('does not go on as the old user when the change had no effect', () => {
    const identity = { ...fakeProcess(), setuid: () => {} };
    expect(() => {
      switchUser('pooler', identity, find);
    }).toThrow("failed to assume identity of user 'pooler'");
  });
});
