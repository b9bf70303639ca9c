import {
  type ColumnDescription,
  writeDataRow,
  writeRowDescription,
} from '../protocol/backend-writer.ts';
import { BackendCode, HEADER_BYTES } from '../protocol/codes.ts';
import { encodeBinary } from './binary-values.ts';
import { BINARY_FORMAT, type ColumnFormats } from './format-codes.ts';
import type { Row } from './row-condition.ts';

/** Bytes of a column of RowDescription behind its name; the format code is the last two. */
const COLUMN_TAIL_BYTES = 18;

/** PortalSuspended, a shared constant. */
export const PORTAL_SUSPENDED: Buffer = Buffer.from([BackendCode.PortalSuspended, 0, 0, 0, 4]);

/** Builds RowDescription with the formats in which the rows will come. */
export function describeColumns(
  columns: readonly ColumnDescription[],
  formats: ColumnFormats,
): Buffer {
  const buffer = writeRowDescription(columns);
  let offset = HEADER_BYTES + 2;
  for (const format of formats) {
    offset = buffer.indexOf(0, offset) + 1 + COLUMN_TAIL_BYTES;
    buffer.writeInt16BE(format, offset - 2);
  }
  return buffer;
}

function encodeCell(cell: string | null, typeOid: number, format: number): Buffer | null {
  if (cell === null) {
    return null;
  }
  return format === BINARY_FORMAT ? encodeBinary(cell, typeOid) : Buffer.from(cell);
}

/** Builds DataRow in the formats asked for. */
export function encodeRow(
  row: Row,
  columns: readonly ColumnDescription[],
  formats: ColumnFormats,
): Buffer {
  if (!formats.includes(BINARY_FORMAT)) {
    return writeDataRow(row);
  }
  const cells = row.map((cell, index) =>
    encodeCell(cell, columns[index]?.typeOid ?? 0, formats[index] ?? 0),
  );
  const bytes = cells.reduce((total, cell) => total + 4 + (cell?.length ?? 0), 2);
  const buffer = Buffer.alloc(HEADER_BYTES + bytes);
  buffer[0] = BackendCode.DataRow;
  buffer.writeInt32BE(4 + bytes, 1);
  let offset = buffer.writeInt16BE(cells.length, HEADER_BYTES);
  for (const cell of cells) {
    offset = buffer.writeInt32BE(cell?.length ?? -1, offset);
    offset += cell?.copy(buffer, offset) ?? 0;
  }
  return buffer;
}
