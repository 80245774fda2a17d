// A request's state as words with a tone.

import { isFailed, isRunning } from '../core/requests.js';
import { stateMark } from './controls.js';

export function requestState(request) {
  if (isRunning(request)) return stateMark(request.status === 'waiting' ? 'Waiting' : 'Running', 'busy');
  if (request.status === 'cancelled') return stateMark('Cancelled', 'idle');
  return isFailed(request) ? stateMark('Failed', 'bad') : stateMark('Done', 'good');
}
