import util from 'node:util';

// Node 23 took out of its util what tfjs-node 4 calls for every tensor that it reads; isArray is to go as well
const removed = util as {isNullOrUndefined?: (value: unknown) => boolean; isArray?: typeof Array.isArray};
removed.isNullOrUndefined ??= (value) => value === undefined || value === null;
removed.isArray ??= Array.isArray;
