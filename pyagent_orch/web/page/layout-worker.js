// Places boxes, beside the page: a large graph takes a moment, and the page stays usable meanwhile.

import { Graph, layout } from "./vendor/dagre.esm.js";

const EXACT = 60; // up to so many boxes the tidiest method is fast enough

self.onmessage = ({ data: { round, boxes, edges, width, height, down } }) => {
  const graph = new Graph();
  graph.setGraph({
    rankdir: down ? "TB" : "LR",
    nodesep: 14,
    ranksep: 46,
    marginx: 12,
    marginy: 12,
    ranker: boxes.length <= EXACT ? "network-simplex" : "tight-tree",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of boxes) graph.setNode(box.id, { width, height });
  for (const [from, to] of edges) graph.setEdge(from, to);
  layout(graph);
  const { width: wide, height: high } = graph.graph();
  self.postMessage({
    round,
    wide,
    high,
    places: boxes.map(({ id }) => {
      const { x, y } = graph.node(id);
      return [id, x - width / 2, y - height / 2];
    }),
    lines: edges.map(([from, to]) => graph.edge(from, to).points.map(({ x, y }) => [x, y])),
  });
};
