import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { preparePassword } from '../../../src/auth/saslprep.ts';
import { isInRanges, UNASSIGNED } from '../../../src/auth/saslprep-tables.ts';
import { parseSecret } from '../../../src/auth/secret.ts';

/** Passwords and the verifiers that PostgreSQL 18.4 stored for them (`CREATE ROLE … PASSWORD`). */
const POSTGRES_VERIFIERS: readonly (readonly [string, string])[] = [
  [
    'pencil',
    'SCRAM-SHA-256$4096:Qg3pQYmokRFYM6SKKhnrXg==$hAtrekfOs2Jb/J8/wku2NrxShpk5npIY7j+R3WzCR6w=:jgCSBLuxXH7dwgwFw8eZeUmb3omH9y0yeYSbMXCvbuQ=',
  ],
  [
    'I\u00adX',
    'SCRAM-SHA-256$4096:j85J0qbSKUaGDlzSEi/fpQ==$yW3PpH3kz1rByHYrqdRTOSokWSz7zQa8N5IuFHHigFI=:wPC2V+sZPRZ8sjrd6WxuxNPZviJQlADtJjA6k8ChzkY=',
  ],
  [
    '\u00aa',
    'SCRAM-SHA-256$4096:vN0fe4AjXIfdQVmNsapUVA==$k6A2OHT4J0+OuselYALhWZEMkoedoo9dcXEy/J37PUo=:7Zvu9ytb/SiD7IspcTIF/gd4b3hSUG+suE4rfsQlPKY=',
  ],
  [
    '\u2168',
    'SCRAM-SHA-256$4096:6tQia0iwXFO1s4Tgi3PG7Q==$nIH8l+HiW0xP6qM9ipTkqDAgS8ehdC2fUkMQDihPJIM=:pz1CLBROnA34/3/nOamowzuy8bfDElwj77fojJ+dA5U=',
  ],
  [
    '\u0007\u00e9',
    'SCRAM-SHA-256$4096:EmyC4cqz91YdHTpFZnxqHA==$dRcw25ZGTLFFlbtJTvpkMtY7Nma5gpJymSZcqh4PD+4=:uZ+7NvElahjpmVcSnzWmeGUFhbfxLMrNkjFDRT3xCPg=',
  ],
  [
    '\u06271',
    'SCRAM-SHA-256$4096:9wE/NZ29AAXoRrTtznNwXg==$A0GH99UBb3IFHUPjmnz/EwV27T52O7AB3NXisYNrnDM=:XH7zwDB+VIkQSMXlXIOETJ9GxLnO55FiH6I60CI8ztM=',
  ],
  [
    '\u0627\u00e9\u0628',
    'SCRAM-SHA-256$4096:Kxq+mhFRVF3iBrXQtbTbpg==$rTSLOJq0vyoflYrcfqH+i65U8bzQvMrp4a9ceds9Ty0=:NyNNvxoqOqQjQeioWZ3CGblIvJRZjzLOTVGHr2Mhack=',
  ],
  [
    '\u06271\u0628',
    'SCRAM-SHA-256$4096:O27fDGQbE/kmQOyXuwfT+w==$yZO+a+KhobDg/XrAs0q2nJhs2tnwsosq8qiNT9T87Rk=:+riBcTbiH+RgJiDGfpYLU+ZCzA7Z7Wh0tvQKe2m5rZc=',
  ],
  [
    'a\u00a0b',
    'SCRAM-SHA-256$4096:O6+pq3C4PpYSAL7F1V/+Bw==$KiJwaxQTexeNtrtdNMkw8Wh2V1ThxGxhtHTsLPJBX/g=:M3ewhlTtI1DlMAhyADBFSNlzWvkqFJNGF4X4rOO8yQk=',
  ],
  [
    'a\u200bb',
    'SCRAM-SHA-256$4096:SwH4+lecp/PzrGZAeBD5rQ==$ofvGyWIgo+PVxNUEGbi5h0sIPu6uA31TKqF8GXdmnQ8=:9gsAsrKGssrFTGnxjBsgENL68d5IVmctkM6/4JSI9hA=',
  ],
  [
    'a\u200cb',
    'SCRAM-SHA-256$4096:j5g0/8mmTMzpfX2zgDWinA==$oJp2Ag1MWBHz+HXVkCUefIyR+8TDjaZGM4opIC4Lg0o=:SQA8ZI9qNaFLrpsg/zclXsvK2tWYNlCzVLTtx64LvXI=',
  ],
  [
    'x\u0340\u00e9',
    'SCRAM-SHA-256$4096:qBIsqgmwSB3xB5aamJPmbQ==$nMN9ZCAibdHMa4GY3B+4eAM0/uKHzZekE3pXEH9CFJE=:9aw1IiiAHqtj4DPZQlsIdoYX8syaOICZk1+Ijuuzurk=',
  ],
  [
    '\u0221x',
    'SCRAM-SHA-256$4096:yPTnU+lFJpaMwKolgUqefg==$QC0MT9WQzXD91yeAO+MaT2o3WgWqDfO4B5pVERYXR4I=:dcz9clvImjfwCvXGShf1d0XfHUYsxMPTbyoRRG+ROJY=',
  ],
  [
    '\u00ad',
    'SCRAM-SHA-256$4096:ttT6udRuwDOv0qw//CXEyg==$Tx5ZXoIGZlzc2p8GyFOUKS+TCquGFEh3MGIeoJWaE3Q=:qTv+8tUmwPZIAHtilCt6Ru5c/mzB9cnCOQ848Lh/vvM=',
  ],
  [
    'p\u00e4ss',
    'SCRAM-SHA-256$4096:98IaiTKcGwIu/HOabnpABw==$1qFmwZWWw5mZ/tzYPD0WkH2iyppLnvAO8tOqHSJj3Ds=:RrLuEiZAGY+oGaOjL06niQ+AF4iUfMd8cd04NxT1CNM=',
  ],
  [
    'pa\u0308ss',
    'SCRAM-SHA-256$4096:AVhekte/JWoJf1ADUg8gFA==$2yGNp+IxKLnvpVC105voNVk44lxOAFjy7DLSWTlnYHU=:F1/KK+xvV58Pl0nOsJBQfjrFITbuV2tF+GuOIrx8Vmg=',
  ],
  [
    '\ue000\u00e9',
    'SCRAM-SHA-256$4096:HJlSqsF5yp3PHVqkbsfxlw==$yzgl8xGmgQjKKfey6G6hUd5i0e/Jf+tWvQQVSER78OQ=:DKGL5vF842E8FLxkcgkYc0d3oRHYPt2pubHskojDapY=',
  ],
  [
    '\u{1f600}',
    'SCRAM-SHA-256$4096:1pdztqRHGIQhQPbiAcDygg==$EKwSu6B0SPs6bPZBYtwNUCKXwLoCNTenKdE6kqbV+J0=:gBe1O6TgUDCXuY9UgdRS2QM5O50M8DW2t+attPM3WP0=',
  ],
  [
    '\u{1d400}b',
    'SCRAM-SHA-256$4096:ad/06ze7q0RpYspeDbDnkg==$9jujoRQbYWJmunLfGmve5/rcUdagOB94pN+51eTWNlA=:PBXj8G7r7Br7hrcQTBh2L2fqEcTYCYFxF5EKwEcrgZw=',
  ],
  [
    'a\ufb01',
    'SCRAM-SHA-256$4096:RJYR/y7o+x85go3Xn8ZfwQ==$/EorgX0958NM67vkMY5N01K3yLvI+/YV25Ddl74jkho=:yBL/nwxVGeWYaQnTVb3hG7zRL+B6EHzswnQb0s8L5w4=',
  ],
  [
    'A\u2028b',
    'SCRAM-SHA-256$4096:oInxuwoOMp+ggT9Knh40Vg==$WLLkj5O4tI6Dpjlute/fjQOHkq+5+0rRyoS3fnoCLEY=:u9MmCYk3tHs9GewegxxZYrgbCAPH+80svG+Ha6yq4Uk=',
  ],
  [
    '\u0627(\u0628',
    'SCRAM-SHA-256$4096:zJ3bncfrwesxrEweDbp7XQ==$HjVUfujQPLd4/HqKmexFJ+Dp6P3kvftnSAR9Kd7EEyE=:Wl4gf5TMJu04HD5KC9usQ4ror7NOAqdsRhyX4YKD+JU=',
  ],
  [
    '\u249c\u0627',
    'SCRAM-SHA-256$4096:UpTt7jTTITYIqlpcA8r39Q==$Sqi+ksqn+Mb+20A7A8JRUDQ/6nKBSkdObAknHt6tZMU=:TbSihkhQlEnCpkmvoDSOBinZpFXFTo82ev6lMpQVCao=',
  ],
  [
    '\u0627\u2102\u0628',
    'SCRAM-SHA-256$4096:wYkc8rAaf4njpNrgcZWFvg==$cd+sp0kKIhJ6dHnWOtg05KZXJ4jWTCjk6ZWcQF2e3lM=:DLu5HjMTgLNrlDYGvF5x84ai9YnaHa1/FYqoR4K1uVU=',
  ],
];

function storedKeyOf(password: Buffer, salt: Buffer, iterations: number): Buffer {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  return createHash('sha256').update(clientKey).digest();
}

describe('preparePassword', () => {
  it.each(POSTGRES_VERIFIERS)('prepares %j as PostgreSQL does', (password, stored) => {
    const secret = parseSecret(stored);
    if (secret.kind !== 'scram') {
      throw new Error('not a verifier');
    }
    const prepared = preparePassword(password);
    expect(storedKeyOf(prepared, secret.salt, secret.iterations)).toEqual(secret.storedKey);
  });

  it.each([
    ['maps to nothing', 'I\u00adX', 'IX'],
    ['keeps ASCII', 'user', 'user'],
    ['keeps the case', 'USER', 'USER'],
    ['normalizes to NFKC', '\u00aa', 'a'],
    ['normalizes a roman numeral', '\u2168', 'IX'],
    ['keeps text with a prohibited character raw', '\u0007\u00aa', '\u0007\u00aa'],
    ['keeps mixed directions raw', '\u0627\u0031', '\u0627\u0031'],
  ])('%s (RFC 4013 examples, raw where PostgreSQL falls back)', (_what, input, expected) => {
    expect(preparePassword(input).toString('utf8')).toBe(expected);
  });

  it('keeps bytes that are not UTF-8', () => {
    const bytes = Buffer.from([0x70, 0xff, 0xc3, 0xa4]);
    expect(preparePassword(bytes)).toEqual(bytes);
  });

  it('keeps text that would become empty', () => {
    expect(preparePassword('\u00ad\u00ad').toString('utf8')).toBe('\u00ad\u00ad');
  });

  it('takes a password of the longest permitted size', () => {
    const long = '\u00aa'.repeat(32_765);
    expect(preparePassword(long).toString('utf8')).toBe('a'.repeat(32_765));
  });

  it('returns a copy, so that a borrowed buffer may change', () => {
    const bytes = Buffer.from('pencil');
    const prepared = preparePassword(bytes);
    bytes.fill(0);
    expect(prepared.toString()).toBe('pencil');
  });
});

describe('isInRanges', () => {
  it.each([
    [0x220, false],
    [0x221, true],
    [0x222, false],
    [0x233, false],
    [0x234, true],
    [0x24f, true],
    [0x250, false],
    [0, false],
    [0x10ffff, false],
  ])('places U+%x in the table of unassigned code points: %s', (codePoint, isInside) => {
    expect(isInRanges(UNASSIGNED, codePoint)).toBe(isInside);
  });
});
