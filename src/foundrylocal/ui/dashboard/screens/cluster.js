// <fl-cluster>: the machines that run models, and the replicas on them; with one machine, how to add another.

import { readCluster } from '../core/cluster.js';
import { h } from '../core/dom.js';
import { View } from '../core/element.js';
import { bytes, plural } from '../core/format.js';
import { href } from '../core/router.js';
import { store } from '../core/store.js';
import { card, empty, errorBox, skeleton, stateMark, tag } from '../parts/controls.js';

const NODE_STATES = { alive: ['Answers', 'good'], suspect: ['Suspect', 'warn'], lost: ['Lost', 'bad'] };
const REPLICA_STATES = { ready: ['Loaded', 'good'], loading: ['Loading', 'busy'], yielding: ['Making room', 'busy'], draining: ['Unloading', 'busy'] };

const table = (name, heads, rows) => h('div', { class: 'table-wrap' }, h('table', { class: 'cards' }, h('caption', { class: 'for-readers' }, name),
  h('thead', {}, h('tr', {}, heads.map(([words, kind]) => h('th', { scope: 'col', class: kind }, words)))), h('tbody', {}, rows)));

/** What can be said of a node's name: an empty one is this machine. */
const nodeName = (node) => node.name || 'This machine';

function nodeRow(node, replicas) {
  const { foundrylocal, python, ray } = node.versions;
  const [words, tone] = NODE_STATES[node.state] ?? [node.state, 'idle'];
  return h('tr', { key: node.name, 'data-row': true },
    h('th', { scope: 'row', class: 'lead' }, h('div', { class: 'lines' }, h('div', { class: 'row' }, h('strong', {}, nodeName(node)), node.is_service && node.name && tag('this machine')),
      node.address && node.address !== node.name && h('span', { class: 'muted small mono' }, node.address),
      node.reason && h('span', { class: 'small field-error' }, node.reason))),
    h('td', {}, stateMark(words, tone)),
    h('td', { class: 'number' }, `${bytes(node.free_bytes)} of ${bytes(node.memory_bytes)}`),
    h('td', { class: 'number minor' }, node.gpus.length ? node.gpus.map(bytes).join(', ') : 'none'),
    h('td', { class: 'number minor' }, String(replicas.filter((one) => one.node === node.name).length)),
    h('td', { class: 'minor' }, h('span', { class: 'small' }, [foundrylocal && `FoundryLocal ${foundrylocal}`, python && `Python ${python}`, ray && `Ray ${ray}`].filter(Boolean).join(' · ') || 'unknown'),
      node.has_other_version && [' ', tag('another version: gets no models', 'warn')]));
}

function replicaRow(replica, nodes) {
  const [words, tone] = replica.is_suspect ? ['Suspect', 'warn'] : REPLICA_STATES[replica.state] ?? [replica.state, 'busy'];
  return h('tr', { key: replica.id, 'data-row': true },
    h('th', { scope: 'row', class: 'lead' }, h('div', { class: 'lines' }, h('a', { class: 'strong', href: href('models', replica.model) }, replica.model), h('span', { class: 'muted small' }, h('span', { class: 'mono' }, replica.id), replica.is_suspect && ' · gets no requests until a health check succeeds'))),
    h('td', {}, nodeName(nodes.find((one) => one.name === replica.node) ?? { name: replica.node })),
    h('td', {}, stateMark(words, tone)),
    h('td', { class: 'number' }, `${replica.in_flight} of ${replica.slots} busy`),
    h('td', { class: 'number minor' }, replica.memory_bytes ? bytes(replica.memory_bytes) : 'unknown'));
}

class Cluster extends View {
  /** When an event says that memory, models or requests changed, the cluster has changed too. */
  #refresh() {
    const { machine, activity, loaded } = store.state;
    const seen = [machine, activity, loaded];
    if (this.seen?.every((one, index) => one === seen[index])) return;
    this.seen = seen;
    readCluster();
  }

  #state({ state, address, message, action, nodes, suspects }) {
    if (state === 'unreachable') return errorBox({ message: message ?? `The cluster at ${address} does not answer`, details: action });
    const lost = nodes.filter((one) => one.state === 'lost').length;
    return h('div', { class: 'row', role: 'status' }, stateMark(`Connected to ${address}`, 'good'), h('span', { class: 'muted' }, plural(nodes.length, 'machine')),
      suspects.length > 0 && tag(`${plural(suspects.length, 'suspect')}: ${suspects.join(', ')}`, 'warn'), lost > 0 && tag(`${lost} lost`, 'bad'));
  }

  #alone() {
    return empty('Models run on this machine only',
      h('p', {}, 'To add a second machine, run ', h('code', {}, 'foundrylocal cluster head'), ' here and restart the service. Then run the ', h('code', {}, 'foundrylocal cluster join'), ' command that it prints on the other machine.'));
  }

  view() {
    this.#refresh();
    const { cluster } = store.state;
    if (cluster === undefined) return skeleton(6);
    if (cluster === null) return empty('This service runs models on one machine only', h('p', {}, 'It is older than this page, or has no cluster support.'));
    const { nodes, replicas } = cluster;
    const isLocal = cluster.state === 'local';
    return h('div', { class: 'stack' },
      isLocal ? this.#alone() : this.#state(cluster),
      !isLocal && nodes.length > 0 && card('Machines', { key: 'nodes' }, table('Machines', [['Machine'], ['State'], ['Free for a model', 'number'], ['GPU memory free', 'number minor'], ['Replicas', 'number minor'], ['Versions', 'minor']],
        nodes.map((one) => nodeRow(one, replicas)))),
      card('Replicas', { key: 'replicas' }, replicas.length ? table('Replicas', [['Model'], ['Machine'], ['State'], ['Slots', 'number'], ['Memory', 'number minor']], replicas.map((one) => replicaRow(one, nodes)))
        : h('p', { class: 'muted' }, 'No model is loaded.')));
  }
}

customElements.define('fl-cluster', Cluster);
