// Binary frames of readings, as docs/protocol.md lays them out. Pure: bytes in, columns out, nothing copied.

export const KIND_READINGS = 1;
export const KIND_RECENT = 2;
export const KIND_MERGED = 3; // of a time in which we read too slowly: smallest, largest and newest of each series
export const HEADER_BYTES = 40;

const VERSION = 1;
const BYTES_PER_READING = 16;

/** Bytes that are not a frame of this version. */
export class FrameError extends Error {}

/**
 * @typedef {object} Frame
 * @property {number} kind KIND_READINGS, KIND_RECENT or KIND_MERGED; others are of a newer server
 * @property {number} offset of the channel; 0 for KIND_RECENT
 * @property {number} channelNo
 * @property {number} count
 * @property {number} baseTimeUs
 * @property {number} serverTimeUs when the bridge received the last reading
 * @property {Float64Array} values NaN: no value
 * @property {Uint32Array} seriesIds
 * @property {Uint32Array} deltasUs reading i was measured at baseTimeUs + deltasUs[i]
 */

/**
 * Map a frame's columns onto its bytes.
 * @param {ArrayBuffer} buffer
 * @returns {Frame}
 * @throws {FrameError} too short, too long, or of another version
 */
export function decodeFrame(buffer) {
  const size = buffer.byteLength;
  if (size < HEADER_BYTES) throw new FrameError(`${size} bytes are too few for a header`);
  const header = new DataView(buffer, 0, HEADER_BYTES);
  const version = header.getUint8(1);
  if (version !== VERSION) throw new FrameError(`version ${version} is not known`);
  const count = header.getUint32(4, true);
  if (size !== HEADER_BYTES + count * BYTES_PER_READING) {
    throw new FrameError(`${size} bytes do not hold ${count} readings`);
  }
  return {
    kind: header.getUint8(0),
    offset: Number(header.getBigUint64(8, true)),
    channelNo: header.getUint32(32, true),
    count,
    // Microseconds since 1970 stay below 2^53 until the year 2255, so a double is exact.
    baseTimeUs: Number(header.getBigInt64(16, true)),
    serverTimeUs: Number(header.getBigInt64(24, true)),
    values: new Float64Array(buffer, HEADER_BYTES, count),
    seriesIds: new Uint32Array(buffer, HEADER_BYTES + 8 * count, count),
    deltasUs: new Uint32Array(buffer, HEADER_BYTES + 12 * count, count),
  };
}
